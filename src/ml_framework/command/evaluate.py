"""Score a trained network."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from delineate.notes import showing_notes
from ml_framework.command.words import (
    Config,
    Dataset,
    Directories,
    Gpu,
    device_of,
    leave,
    read,
)

__all__ = ["evaluate"]


def evaluate(
    config: Config,
    checkpoint: Annotated[
        Path | None,
        typer.Option(metavar="CKPT", help="Else what the newest training of it left."),
    ] = None,
    dataset: Dataset = None,
    directory: Directories = None,
    phase: Annotated[Literal["val", "test"], typer.Option(help="Which of the slices.")] = "test",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where tables go; else below the logs.")
    ] = None,
    gpu_id: Gpu = None,
) -> None:
    """Score a checkpoint: the figures of the experiment, a table of images, a confusion matrix."""
    from delineate.systems.spine.prediction.evaluation import evaluate

    with showing_notes():
        experiment = read(config, dataset, directory)
        finished = evaluate(
            experiment, checkpoint, phase=phase, out=output, device=device_of(gpu_id)
        )
    leave(finished)
