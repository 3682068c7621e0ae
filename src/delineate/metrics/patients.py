"""Whose scans the cases of a run are: two scans of one patient are not two independent cases."""

import json
from pathlib import Path

from delineate.errors import DataError

__all__ = ["read_patients"]


def read_patients(path: Path) -> dict[str, str]:
    """The patient of each case, from the cases.json of a run or of the folds of a cross-validation.

    Empty where there is none, as beside a table of another tool.

    Args:
        path: The folder of the run, or a table inside it.
    """
    folder = path if path.is_dir() else path.parent
    folder = folder.parent if folder.name == "validation" else folder
    files = [folder / "cases.json", *sorted(folder.glob("fold_*/cases.json"))]
    patients: dict[str, str] = {}
    for file in files:
        if file.is_file():
            patients |= _groups(file)
    return patients


def _groups(file: Path) -> dict[str, str]:
    try:
        parts = json.loads(file.read_text(encoding="utf-8"))
        return {
            case["id"]: case["group"] or case["id"] for cases in parts.values() for case in cases
        }
    except (ValueError, AttributeError, TypeError, KeyError):
        raise DataError(
            f"{file}: this is not the list of cases that a run writes. Fix: restore it, or delete "
            "it, and every case counts as a patient of its own."
        ) from None
