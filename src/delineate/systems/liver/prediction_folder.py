"""What a folder of predictions was made by, so that a rerun never mixes those of two networks."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from delineate.errors import DataError
from delineate.inference.made_by import FILE
from delineate.io import atomic_path

__all__ = ["claim", "read_labels"]

LABELS = "labels"


def claim(out: Path, facts: Mapping[str, Any]) -> None:
    """Note in the folder what predicts; one that holds another network's masks is a DataError.

    Args:
        out: The folder; made if need be.
        facts: Plain data; under `labels`, the ids that the masks can hold.
    """
    path = out / FILE
    if not path.is_file():
        with atomic_path(path) as part:
            part.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        return
    known = _read(path)
    different = [key for key in facts if known.get(key) != facts[key]]
    if different:
        raise DataError(
            f"{out}: holds predictions of another checkpoint or other settings ({different[0]} "
            "differs). Fix: choose another output_dir; one folder, one network."
        )


def read_labels(folder: Path) -> frozenset[int] | None:
    """The ids that the masks of a folder can hold; None where nobody noted them."""
    path = folder / FILE
    found = _read(path).get(LABELS) if path.is_file() else None
    return frozenset(found) if isinstance(found, list) else None


def _read(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}. Fix: choose another folder.") from None
    return known if isinstance(known, dict) else {}
