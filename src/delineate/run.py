"""The path of the data in one screen: read, check, plan, prepare, train, evaluate, report."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import nn

from delineate.assemble import assemble_network, assemble_trackers
from delineate.config import Config, check_parts, load_config
from delineate.data import prepare
from delineate.datasets import Dataset, Split, read_dataset
from delineate.engine.hardware import choose_device
from delineate.engine.weights import load_weights
from delineate.errors import ConfigError, DataError
from delineate.groundwork import Bars, cache_folder, plan_for, read, refuse_faults, split_for
from delineate.inference import Failure, find_scans, predict_cases
from delineate.io import is_image
from delineate.labels import Labels
from delineate.metrics import Table, evaluate_folders, write_table
from delineate.plan import Plan, read_plan, take_fingerprint, write_plan
from delineate.report import write_report
from delineate.run_folder import RunFolder

__all__ = ["Result", "evaluate", "predict", "train"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a training came to."""

    page: Path
    dice: float
    """Mean over held-out cases and classes, on the scans' own grids."""
    cases: int


def train(config: Config, *, bars: Bars, restart: bool = False) -> Result:
    """Walk the whole path; everything that it makes lies in `config.run_dir`.

    An unfinished run of the same config goes on from its last saved state.

    Args:
        restart: Begin an unfinished run anew.
    """
    # Lightning takes seconds to import: only training waits for it.
    from delineate.training import teach

    check_parts(config)
    with RunFolder.start(config, restart=restart) as run:
        # First of all: a tracker whose package is missing says so before any data is read.
        trackers = assemble_trackers(config, run.path)
        dataset = read(config)
        decide = _recall if run.unfinished else _decide
        plan, split = decide(config, dataset, run=run, bars=bars)
        run.say(f"patch {plan.patch}, batch {plan.batch_size}, features {plan.network.features}")
        cases = split.training + split.validation
        cache = prepare(cases, plan, cache_folder(config), progress=bars.track)
        run.say(f"{len(split.training)} cases to train on, {len(split.validation)} held out")
        network = assemble_network(config, plan)
        teach(network, config, plan, cache, split, run=run, trackers=trackers, bars=bars)
        table = judge(network, config, plan, split, run=run, bars=bars)
        page = write_report(run.path)
        run.drop_states()
        run.say(f"mean Dice {table.mean('dice'):.4f} on {len(split.validation)} held-out cases")
    return Result(page=page, dice=table.mean("dice"), cases=len(split.validation))


def predict(
    folder: Path, scans: Sequence[Path], out: Path, *, flips: bool, device: str, bars: Bars
) -> tuple[Failure, ...]:
    """Write the mask of every scan with the best weights of a run; failures are returned."""
    run = RunFolder.open(folder)
    config, plan = load_config(run.config), read_plan(run.plan)
    network = assemble_network(config, plan)
    load_weights(network, run.weights)
    return predict_cases(
        network,
        plan,
        find_scans(scans, len(plan.channels)),
        out,
        overlap=config.predict.overlap,
        flips=_asked(config, plan) if flips else _flips(config, plan),
        device=choose_device(device),
        progress=bars.track,
    )


def evaluate(prediction: Path, truth: Path, out: Path, *, bars: Bars) -> Table:
    """Compare a folder of masks with the truth, a folder of masks or a whole data set."""
    masks, labels = _truth(truth)
    table = evaluate_folders(prediction, masks, labels=labels, progress=bars.track)
    write_table(table, out)
    return table


def judge(
    network: nn.Module, config: Config, plan: Plan, split: Split, *, run: RunFolder, bars: Bars
) -> Table:
    """Predict the held-out cases on their own grids and score them there."""
    failures = predict_cases(
        network,
        plan,
        [(case.id, case.images) for case in split.validation],
        run.validation,
        overlap=config.predict.overlap,
        flips=_flips(config, plan),
        device=choose_device(config.train.device),
        progress=bars.track,
    )
    if failures:
        raise DataError("\n".join(str(failure) for failure in failures))
    truth = {case.id: case.label for case in split.validation if case.label is not None}
    table = evaluate_folders(run.validation, truth, labels=plan.labels, progress=bars.track)
    write_table(table, run.table)
    return table


def _decide(config: Config, dataset: Dataset, *, run: RunFolder, bars: Bars) -> tuple[Plan, Split]:
    """Check the data, plan, and choose who is held out; saved in the folder of the run."""
    refuse_faults(dataset, bars=bars)
    run.say(f"{len(dataset.cases)} cases, layout {dataset.layout}; the doctor finds no error")
    fingerprint = take_fingerprint(dataset, progress=bars.track)
    plan = plan_for(config, fingerprint)
    write_plan(plan, run.plan)
    split = split_for(config, dataset, fingerprint)
    run.write_json("cases.json", asdict(split))
    return plan, split


def _recall(config: Config, dataset: Dataset, *, run: RunFolder, bars: Bars) -> tuple[Plan, Split]:
    """What an unfinished run decided: with other cases or memory it might decide otherwise now."""
    there = {case.id: case for case in dataset.cases}
    saved = run.read_json("cases.json")
    chosen = {part: [case["id"] for case in cases] for part, cases in saved.items()}
    gone = sorted({case for cases in chosen.values() for case in cases} - there.keys())
    if gone:
        raise DataError(
            f"{dataset.root}: of the cases of the unfinished run in {run.path}, {len(gone)} are no "
            f"longer here (first: {gone[0]}). Fix: bring them back, or begin anew with --restart."
        )
    return read_plan(run.plan), Split(
        **{part: tuple(there[case] for case in cases) for part, cases in chosen.items()}
    )


def _truth(path: Path) -> tuple[Path | dict[str, str], Labels | None]:
    """Masks and labels of a data set, or a plain folder of masks."""
    try:
        dataset = read_dataset(path)
    except DataError:
        if path.is_dir() and not any(is_image(file) for file in path.iterdir()):
            raise
        return path, None
    masks = {case.id: case.label for case in dataset.cases if case.label is not None}
    return (masks, dataset.labels) if masks else (path, None)


def _flips(config: Config, plan: Plan) -> tuple[int, ...]:
    """The axes to average over, if the config wants it."""
    return _mirrored(config, plan) if config.predict.flips else ()


def _asked(config: Config, plan: Plan) -> tuple[int, ...]:
    """The axes to average over where a person insists on it."""
    axes = _mirrored(config, plan)
    if not axes:
        raise ConfigError(
            "--flips: this network was not trained on mirror images, so averaging over them "
            "would make its masks worse. Fix: train with `name: Flip` in augment or use none."
        )
    return axes


def _mirrored(config: Config, plan: Plan) -> tuple[int, ...]:
    """The axes that training mirrored: a network that saw no mirror images is worse on them."""
    trained = [part.arguments.get("axes") for part in config.augment if part.name == "Flip"]
    if not trained:
        return ()
    if trained[0] is None:
        return plan.seen_axes
    if trained[0] == "left_right":
        return tuple(axis for axis in plan.seen_axes if axis == plan.left_right)
    return tuple(plan.seen_axes[axis] for axis in trained[0])
