"""The path of the data in one screen: read, check, plan, prepare, train, evaluate, report."""

from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from delineate.assemble import assemble_network, assemble_trackers
from delineate.config import Config, check_parts
from delineate.data import prepare, read_case
from delineate.datasets import Dataset, Split, read_dataset
from delineate.engine.hardware import choose_device
from delineate.errors import ConfigError, DataError
from delineate.groundwork import Bars, cache_folder, plan_for, read, refuse_faults, split_for
from delineate.inference import (
    Domain,
    Model,
    choose_postprocessing,
    predict_cases,
    take_domain,
    write_postprocessing,
)
from delineate.io import is_image
from delineate.labels import Labels
from delineate.metrics import (
    Measures,
    Table,
    evaluate_folders,
    evaluate_probabilities,
    join_tables,
    write_table,
)
from delineate.package import mirrored_axes
from delineate.plan import Plan, read_plan, take_fingerprint, write_plan
from delineate.report import hash_cases, write_report
from delineate.run_folder import RunFolder

if TYPE_CHECKING:
    from delineate.training import Addition

__all__ = ["Result", "evaluate", "train"]

MOST_LOOKED_AT = 50
"""Training scans, evenly chosen, whose intensities stand for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a training came to."""

    page: Path
    dice: float
    """Mean over held-out cases and classes, on the scans' own grids."""
    cases: int


def train(
    config: Config, *, bars: Bars, restart: bool = False, add: "Addition | None" = None
) -> Result:
    """Walk the whole path; everything that it makes lies in `config.run_dir`.

    An unfinished run of the same config goes on from its last saved state.

    Args:
        restart: Begin an unfinished run anew.
        add: What a system adds to the training loop.
    """
    # Lightning takes seconds to import: only training waits for it.
    from delineate.training import teach

    if config.stages:
        raise ConfigError(
            "the configuration declares stages, and this trains one run. "
            "Fix: call delineate.stages.train, or set stages=[]."
        )
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
        domain = _domain(split, plan, run=run, bars=bars)
        network = assemble_network(config, plan)
        teach(network, config, plan, cache, split, run=run, trackers=trackers, bars=bars, add=add)
        model = Model(
            networks=(network,),
            plan=plan,
            overlap=config.predict.overlap,
            flips=mirrored_axes(config, plan) if config.predict.flips else (),
            domain=domain,
        )
        table = judge(model, config, split, run=run, bars=bars)
        page = write_report(run.path)
        run.drop_states()
        run.say(f"mean Dice {table.mean('dice'):.4f} on {len(split.validation)} held-out cases")
    return Result(page=page, dice=table.mean("dice"), cases=len(split.validation))


def evaluate(
    prediction: Path,
    truth: Path,
    out: Path,
    *,
    measures: Measures,
    probabilities: Path | None = None,
    bars: Bars,
) -> Table:
    """Compare a folder of masks with the truth, a folder of masks or a whole data set.

    Args:
        probabilities: A folder of theirs, whose calibration is measured too.
    """
    masks, labels = _truth(truth)
    table = evaluate_folders(
        prediction, masks, labels=labels, measures=measures, progress=bars.track
    )
    if probabilities is not None:
        if labels is None:
            raise DataError(
                f"{truth}: masks alone do not say which class a channel is. "
                "Fix: give the data set as the truth."
            )
        calibration = evaluate_probabilities(probabilities, masks, labels, progress=bars.track)
        table = join_tables(table, calibration)
    write_table(table, out)
    return table


def judge(model: Model, config: Config, split: Split, *, run: RunFolder, bars: Bars) -> Table:
    """Predict the held-out cases on their own grids and score them there."""
    scans = [(case.id, case.images) for case in split.validation]
    failures = predict_cases(
        model,
        bars.track(scans, len(scans), "predicting"),
        run.validation,
        device=choose_device(config.train.device),
    )
    if failures:
        raise DataError("\n".join(str(failure) for failure in failures))
    truth = {case.id: case.label for case in split.validation if case.label is not None}
    table = evaluate_folders(run.validation, truth, labels=model.labels, progress=bars.track)
    write_table(table, run.table)
    chosen = choose_postprocessing(run.pairs(), model.labels, progress=bars.track)
    write_postprocessing(run.steps, *chosen)
    return table


def _domain(split: Split, plan: Plan, *, run: RunFolder, bars: Bars) -> Domain:
    """What the training scans look like, for warnings of scans unlike them; noted in the run."""
    if run.domain.is_file():
        return Domain.from_json(run.read_json(run.domain.name))
    some = split.training[:: ceil(len(split.training) / MOST_LOOKED_AT)]
    scans = (read_case(case) for case in bars.track(some, len(some), "looking at scans"))
    domain = take_domain(scans, plan)
    run.write_json(run.domain.name, domain.to_json())
    return domain


def _decide(config: Config, dataset: Dataset, *, run: RunFolder, bars: Bars) -> tuple[Plan, Split]:
    """Check the data, plan, and choose who is held out; saved in the folder of the run."""
    refuse_faults(dataset, bars=bars)
    run.say(f"{len(dataset.cases)} cases, layout {dataset.layout}; the doctor finds no error")
    fingerprint = take_fingerprint(dataset, progress=bars.track)
    plan = plan_for(config, fingerprint)
    write_plan(plan, run.plan)
    split = split_for(config, dataset, fingerprint)
    run.write_json("cases.json", asdict(split))
    chosen = split.training + split.validation
    memo = cache_folder(config) / "hashes.json"
    run.write_json("hashes.json", hash_cases(chosen, memo, progress=bars.track))
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
