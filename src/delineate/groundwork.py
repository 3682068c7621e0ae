"""What is done before there is a network: read, check, plan, split, prepare. Imports no PyTorch."""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, TypeVar

from delineate.config import Config
from delineate.data import Cache, prepare
from delineate.datasets import Dataset, Split, examine, read_dataset, split_cases
from delineate.datasets.label_file import read_labels
from delineate.errors import DataError
from delineate.plan import Fingerprint, Plan, make_plan, read_plan, take_fingerprint

__all__ = [
    "Bars",
    "NoBars",
    "cache_folder",
    "plan_data",
    "plan_for",
    "prepare_data",
    "read",
    "refuse_faults",
    "split_for",
]

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


class NoBars:
    """Shows nothing: the log says how far things are."""

    def track(self, items: Iterable[T], total: int, description: str) -> Iterable[T]:
        """Hand the items on."""
        return items

    def training(self, progress: float, text: str) -> None:
        """Nothing."""


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
            f"{dataset.root}: {_number(len(errors), 'fault')} to mend before training.\n"
            f"{shown}{more}\n"
            f"Fix: see `delineate doctor {dataset.root}`; its --fix OUT writes a repaired copy."
        )


def plan_for(config: Config, fingerprint: Fingerprint) -> Plan:
    """The plan that the config names, or the one worked out from the fingerprint."""
    wishes = config.plan
    if wishes.file is not None:
        return read_plan(wishes.file)
    from delineate.assemble import assemble_network  # brings PyTorch
    from delineate.engine.hardware import choose_device

    # A plan for a card may be made where there is none.
    device = "cuda" if config.train.device == "cuda" else choose_device(config.train.device)
    return make_plan(
        fingerprint,
        build_model=lambda plan: assemble_network(config, plan),
        device=device,
        memory_gb=wishes.memory_gb,
        spacing=wishes.spacing,
        patch=wishes.patch,
        batch_size=wishes.batch_size,
        dims=wishes.dims,
        width=wishes.width,
        nonzero=wishes.nonzero,
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


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
