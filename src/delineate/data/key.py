"""What a prepared case depends on, as a short hash: change any of it and another folder is used."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from delineate.data.preprocess import PREPROCESSING
from delineate.data.store import FORMAT
from delineate.datasets import Case
from delineate.errors import DataError
from delineate.plan import Plan

__all__ = ["case_key", "plan_facts", "plan_key"]


def plan_facts(plan: Plan) -> dict[str, Any]:
    """Everything in the plan and in this code that the arrays of every case depend on."""
    return {
        "preprocessing": PREPROCESSING,
        "format": FORMAT,
        "channels": list(plan.channels),
        "labels": plan.labels.to_json(),
        "spacing": [float(v) for v in plan.spacing],
        "crop_nonzero": plan.crop_nonzero,
        "normalisation": [
            {name: getattr(rule, name) for name in rule.__slots__} for rule in plan.normalisation
        ],
        "separate_axis": plan.separate_axis,
    }


def plan_key(plan: Plan) -> str:
    """The hash of `plan_facts`; patch, batch and network may change without it."""
    return _hash(plan_facts(plan))


def case_key(case: Case) -> str:
    """The hash of the case's files: path, size and time of change of each."""
    files = {"images": case.images, "label": (case.label,) if case.label else ()}
    return _hash({role: [_stamp(path, case.id) for path in paths] for role, paths in files.items()})


def _stamp(path: str, case: str) -> list[Any]:
    # "file.h5::images[17]" is item 17 inside a file; a DICOM series is a folder.
    place = Path(path.partition("::")[0]).absolute()
    try:
        parts = sorted(place.iterdir()) if place.is_dir() else [place]
        stats = [part.stat() for part in parts]
    except OSError as error:
        raise DataError(f"{case}: {place} cannot be read ({error.strerror}).") from error
    found = [[p.name, s.st_size, s.st_mtime_ns] for p, s in zip(parts, stats, strict=True)]
    return [str(place), path, found]


def _hash(facts: Any) -> str:
    return sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
