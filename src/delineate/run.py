"""The path of the data in one screen: read, check, plan, prepare, train, evaluate, report."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from torch import nn

from delineate.assemble import assemble_network
from delineate.config import Config, check_parts, load_config
from delineate.data import Cache, prepare
from delineate.datasets import (
    Case,
    Dataset,
    Split,
    examine,
    read_dataset,
    split_cases,
)
from delineate.datasets.label_file import read_labels
from delineate.engine.hardware import choose_device
from delineate.engine.weights import load_weights
from delineate.errors import DataError
from delineate.inference import Failure, find_scans, predict_cases
from delineate.labels import Labels
from delineate.metrics import Table, evaluate_folders, write_table
from delineate.plan import Fingerprint, Plan, make_plan, read_plan, take_fingerprint, write_plan
from delineate.report import write_report
from delineate.run_folder import RunFolder

__all__ = ["Bars", "Result", "evaluate", "plan_data", "predict", "prepare_data", "train"]

T = TypeVar("T")

FOLD_SEED = 0
"""Who is held out does not change with the seed of a training: runs stay comparable."""


class Bars(Protocol):
    """Where progress is shown."""

    def track(self, items: Iterable[T], total: int, description: str) -> Iterable[T]:
        """Hand the items on, and count them."""
        ...

    def training(self, progress: float, text: str) -> None:
        """Show how far a training has come, from 0 to 1."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a training came to."""

    page: Path
    dice: float
    """Mean over held-out cases and classes, on the scans' own grids."""
    cases: int


def train(config: Config, *, bars: Bars) -> Result:
    """Walk the whole path; everything that it makes lies in `config.run_dir`."""
    # Lightning takes seconds to import: only training waits for it.
    from delineate.training import teach

    check_parts(config)
    with RunFolder.start(config) as run:
        dataset = read(config)
        refuse_faults(dataset, bars=bars)
        fingerprint = take_fingerprint(dataset, progress=bars.track)
        plan = plan_for(config, fingerprint)
        write_plan(plan, run.plan)
        split = split_for(config, dataset, fingerprint)
        run.write_json("cases.json", asdict(split))
        cases = split.training + split.validation
        cache = prepare(cases, plan, cache_folder(config), progress=bars.track)
        network = assemble_network(config, plan)
        teach(network, config, plan, cache, split, run=run, report=bars.training)
        table = judge(network, config, plan, split, run=run, bars=bars)
        page = write_report(run.path)
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
        flips=flips or config.predict.flips,
        device=choose_device(device),
        progress=bars.track,
    )


def evaluate(prediction: Path, truth: Path, out: Path, *, bars: Bars) -> Table:
    """Compare a folder of masks with the truth, a folder of masks or a whole data set."""
    masks, labels = _truth(truth)
    table = evaluate_folders(prediction, masks, labels=labels, progress=bars.track)
    write_table(table, out)
    return table


def plan_data(config: Config, *, bars: Bars) -> Plan:
    """The plan for a data set."""
    return plan_for(config, take_fingerprint(read(config), progress=bars.track))


def prepare_data(config: Config, *, bars: Bars) -> Cache:
    """Every case on the planned grid; what is there already is kept."""
    dataset = read(config)
    if config.plan.file is None:
        plan = plan_for(config, take_fingerprint(dataset, progress=bars.track))
    else:
        plan = read_plan(config.plan.file)
    return prepare(dataset, plan, cache_folder(config), progress=bars.track)


def read(config: Config) -> Dataset:
    """The data set that a config names."""
    data = config.data
    labels = read_labels(data.labels) if data.labels is not None else None
    return read_dataset(data.root, layout=data.layout, group=data.group, labels=labels)


def refuse_faults(dataset: Dataset, *, bars: Bars) -> None:
    """Raise a DataError with the errors that the doctor finds."""
    errors = examine(dataset, progress=bars.track).errors
    if errors:
        shown = "\n".join(f"  {error}" for error in errors[:10])
        more = f"\n  and {len(errors) - 10} more" if len(errors) > 10 else ""
        raise DataError(
            f"{dataset.root}: {len(errors)} faults must be mended before training.\n{shown}{more}\n"
            f"Fix: see `delineate doctor {dataset.root}`; its --fix OUT writes a repaired copy."
        )


def plan_for(config: Config, fingerprint: Fingerprint) -> Plan:
    """The plan that the config names, or the one worked out from the fingerprint."""
    wishes = config.plan
    if wishes.file is not None:
        return read_plan(wishes.file)
    return make_plan(
        fingerprint,
        build_model=lambda plan: assemble_network(config, plan),
        device=choose_device(config.train.device),
        memory_gb=wishes.memory_gb,
        spacing=wishes.spacing,
        patch=wishes.patch,
        batch_size=wishes.batch_size,
        dims=wishes.dims,
        width=wishes.width,
    )


def split_for(config: Config, dataset: Dataset, fingerprint: Fingerprint) -> Split:
    """Who trains and who is held out."""
    return split_cases(
        dataset,
        folds=config.data.folds,
        fold=config.data.fold,
        seed=FOLD_SEED,
        weights={case.id: case.label_volume for case in fingerprint.cases},
    )


def cache_folder(config: Config) -> Path:
    """Where prepared cases lie: shared by the runs beside each other."""
    return config.data.cache or config.run_dir.parent / "cache"


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
        flips=config.predict.flips,
        device=choose_device(config.train.device),
        progress=bars.track,
    )
    if failures:
        raise DataError("\n".join(str(failure) for failure in failures))
    truth = {case.id: case.label for case in split.validation if case.label is not None}
    table = evaluate_folders(run.validation, truth, labels=plan.labels, progress=bars.track)
    write_table(table, run.validation / "table.csv")
    return table


def _truth(path: Path) -> tuple[Path | dict[str, str], Labels | None]:
    """Masks and labels of a data set, or a plain folder of masks."""
    try:
        dataset = read_dataset(path)
    except DataError:
        return path, None
    masks = {case.id: case.label for case in dataset.cases if case.label is not None}
    return (masks, dataset.labels) if masks else (path, None)


def _ids(cases: Iterable[Case]) -> list[str]:
    return [case.id for case in cases]
