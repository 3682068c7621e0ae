"""Options that several commands share, and what they mean."""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

from delineate.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from delineate.systems.spine.finished import Finished
    from delineate.systems.spine.settings import Experiment

__all__ = [
    "BatchSize",
    "Config",
    "Dataset",
    "Directories",
    "Gpu",
    "Nifti",
    "Plane",
    "device_of",
    "leave",
    "notes",
    "read",
    "tracking",
]

T = TypeVar("T")

Config = Annotated[
    Path, typer.Option("--config", "-c", metavar="FILE", help="The YAML of an experiment.")
]
Dataset = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", help="The YAML of a data set, or its name, in place of the experiment's."
    ),
]
Directories = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=DIR",
        help="Another folder for data, log, weights or model; or a YAML file of them.",
    ),
]
BatchSize = Annotated[int | None, typer.Option(min=1, help="Slices at a time.")]
Gpu = Annotated[int | None, typer.Option(min=-1, help="The number of a card; -1 is the processor.")]
Plane = Annotated[
    Literal["auto", "axial", "coronal", "sagittal"],
    typer.Option(help="Which way a volume is cut into slices."),
]
Nifti = Annotated[bool, typer.Option("--nifti", help="Masks of DICOM as NIfTI, not DICOM-SEG.")]


def read(config: Path, dataset: str | None, directories: Sequence[str] | None) -> "Experiment":
    """The experiment that the words ask for."""
    from delineate.systems.spine.experiment import read_experiment

    files, folders = [], {}
    for word in directories or ():
        key, equals, folder = word.partition("=")
        if equals and folder:
            folders[key] = folder
        elif word.endswith((".yaml", ".yml")):
            files.append(word)
        else:
            raise ConfigError(f"--directory {word}: wants data=DIR, or a YAML file of folders.")
    if len(files) > 1:
        raise ConfigError(f"--directory: {' and '.join(files)}: wants one file.")
    return read_experiment(
        config, dataset=dataset, directory=files[0] if files else None, directories=folders
    )


def device_of(gpu: int | None) -> str:
    """What torch calls the card."""
    if gpu is None:
        return "auto"
    return "cpu" if gpu < 0 else f"cuda:{gpu}"


@contextmanager
def notes() -> Iterator[None]:
    """What a training notes goes to stderr, a line each; its bars are Lightning's."""
    log, shown = logging.getLogger("delineate"), logging.StreamHandler()
    level = log.level
    log.addHandler(shown)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(shown)
        log.setLevel(level)


@contextmanager
def tracking(description: str) -> "Iterator[Callable[[Sequence[T]], Iterable[T]]]":
    """What counts the items of a sequence on a progress bar; notes stand above it."""
    from delineate.console import showing_progress

    with showing_progress() as bars:

        def counted(items: Sequence[T]) -> "Iterable[T]":
            return bars.track(items, len(items), description)

        yield counted


def leave(finished: "Finished") -> None:
    """The last words of a command; what could not be done is the exit code."""
    for line in finished.lines:
        typer.echo(line)
    if finished.failed:
        sys.exit(2)
