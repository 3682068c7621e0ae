"""Options that several commands share, and what they mean."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from delineate.errors import ConfigError

if TYPE_CHECKING:
    from delineate.systems.spine.prediction.finished import Finished
    from delineate.systems.spine.schema.settings import Experiment

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
    "read",
]

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
    from delineate.systems.spine.schema.experiment import read_experiment

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


def leave(finished: "Finished") -> None:
    """The last words of a command; what could not be done is the exit code."""
    for line in finished.lines:
        typer.echo(line)
    if finished.failed:
        sys.exit(2)
