"""The documented prediction of a test set."""

from pathlib import Path

from delineate.errors import DataError
from delineate.groundwork import NoBars
from delineate.io import is_image
from delineate.predicting import Wishes, predict
from delineate.systems.stroke.models_folder import find_model

__all__ = ["generate_test_predictions"]

IMAGES = "Images"
T1W = "_T1w.nii*"


def generate_test_predictions(
    model_path: str | Path, test_dir: str | Path, output_dir: str | Path
) -> list[Path]:
    """Write `<scan>.nii.gz` for every T1w scan, on its own grid; what is there already is kept.

    A scan that cannot be predicted is a DataError after the others are done, never an empty mask.

    Args:
        model_path: A package, the folder of a run, or a documented `.h5` name.
        test_dir: Scans, or a folder with `Images/`, flat or BIDS.
    """
    model, folder, out = find_model(model_path), Path(test_dir), Path(output_dir)
    failures = predict(model, _scans(folder), out, wishes=Wishes(), bars=NoBars())
    if failures:
        raise DataError("\n".join(str(failure) for failure in failures))
    return sorted(path for path in out.iterdir() if is_image(path))


def _scans(folder: Path) -> list[Path]:
    """T1w scans where any is named so, else all images; masks lie elsewhere, or are named so."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder. Fix: give the folder of the test scans.")
    inside = folder / IMAGES
    place = inside if inside.is_dir() else folder
    return sorted(place.rglob(f"*{T1W}")) or [place]
