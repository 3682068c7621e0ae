"""The documented picture of a case: the scan, the prediction, the truth and the errors."""

from pathlib import Path

from delineate.io import stem
from delineate.labels import Labels
from delineate.report.plot import write_plot
from delineate.report.record import Scan

__all__ = ["plot_segmentation_results"]

LESION = Labels.from_names({"lesion": 1})


def plot_segmentation_results(
    image_path: str | Path,
    prediction_path: str | Path,
    ground_truth_path: str | Path | None = None,
    save_path: str | Path = "visualization.png",
) -> Path:
    """Write a PNG with the fullest slice of each plane; the path.

    Args:
        ground_truth_path: None shows no truth and no errors.
    """
    scan = Scan(
        id=stem(image_path),
        image=str(image_path),
        truth=None if ground_truth_path is None else str(ground_truth_path),
        predictions={"prediction": Path(prediction_path)},
    )
    return write_plot(scan, Path(save_path), labels=LESION)
