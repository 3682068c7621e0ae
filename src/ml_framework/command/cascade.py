"""Five networks over every series of a folder."""

from pathlib import Path
from typing import Annotated

import typer

from ml_framework.command.words import BatchSize, Gpu, Nifti, Plane, device_of, leave

__all__ = ["cascade"]


def cascade(
    source: Annotated[Path, typer.Option("--input", "-i", help="A scan, or a folder of series.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A folder.")] = Path("output"),
    weights: Annotated[
        Path | None, typer.Option("--weights", "-w", help="The folder of the checkpoints.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", metavar="FILE", help="YAML of the cascade.")
    ] = None,
    batch_size: BatchSize = None,
    confidence: Annotated[
        float | None, typer.Option(min=0, max=1, help="From which probability a lesion counts.")
    ] = None,
    gpu_id: Gpu = None,
    minimum_slices: Annotated[
        int | None, typer.Option(min=1, help="A series with fewer is rejected.")
    ] = None,
    plane: Plane = "auto",
    nifti: Nifti = False,
    preview: Annotated[
        bool, typer.Option("--preview", help="A picture of each accepted series.")
    ] = False,
) -> None:
    """Find the series that show the cord, and draw it and its lesions."""
    from delineate.console import tracking
    from delineate.systems.spine.cascade.command import cascade, read_cascade

    settings = read_cascade(
        config,
        weights=weights,
        batch_size=batch_size,
        confidence=confidence,
        device=None if gpu_id is None else device_of(gpu_id),
        minimum_slices=minimum_slices,
        plane=None if plane == "auto" else plane,
        nifti=nifti or None,
        preview=preview or None,
    )
    with tracking("series") as progress:
        finished = cascade(settings, source, output, progress)
    leave(finished)
