"""Predict new scans with one network."""

from pathlib import Path
from typing import Annotated

import typer

from ml_framework.command.words import BatchSize, Gpu, Nifti, Plane, device_of, leave

__all__ = ["predict"]


def predict(
    checkpoint: Annotated[Path, typer.Option(metavar="CKPT", help="What a training wrote.")],
    source: Annotated[
        Path, typer.Option("--input", "-i", help="A picture, a scan, or a folder of them.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="A folder.")] = Path("output"),
    batch_size: BatchSize = None,
    confidence: Annotated[
        float | None, typer.Option(min=0, max=1, help="From which probability a pixel counts.")
    ] = None,
    gpu_id: Gpu = None,
    plane: Plane = "auto",
    nifti: Nifti = False,
) -> None:
    """Tell classes, or draw masks on the grid of each scan: PNG, NIfTI and DICOM in and out."""
    from delineate.console import tracking
    from delineate.systems.spine.prediction.predict import PredictionSettings, predict

    said = {"batch_size": batch_size, "confidence": confidence, "device": device_of(gpu_id)}
    asked = PredictionSettings.model_validate({**said, "plane": plane, "nifti": nifti})
    with tracking("predicting") as progress:
        finished = predict(checkpoint, source, output, asked, progress)
    leave(finished)
