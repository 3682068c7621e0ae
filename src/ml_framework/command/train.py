"""Train what a YAML file asks for."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from delineate.notes import showing_notes
from ml_framework.command.words import Config, Dataset, Directories, read

__all__ = ["train"]


def train(
    config: Config,
    dataset: Dataset = None,
    directory: Directories = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="One epoch.")] = False,
    resume: Annotated[
        str | None, typer.Option(metavar="CKPT", help="Go on from a checkpoint, or from `last`.")
    ] = None,
) -> None:
    """Train, keep the best weights, and test them where there are slices to test on."""
    from delineate.systems.spine.learning.trainer import train

    start: Path | Literal["last"] | None = None
    if resume is not None:
        start = "last" if resume == "last" else Path(resume)
    with showing_notes():
        experiment = read(config, dataset, directory)
        best = train(experiment, dry_run=dry_run, resume=start)
    typer.echo(f"Best weights: {best}")
