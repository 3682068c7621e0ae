"""The models that a training leaves: `models/<stage>_final.zip`, and what lies beside each.

A model is a package of ours, one file. A name that ends in `.h5`, as TensorFlow has it, is taken
for the package of the same name. Beside it a JSON file says who was held out, and which run it is.
"""

import json
import logging
from pathlib import Path
from typing import Any

from delineate.errors import DataError
from delineate.io import atomic_path
from delineate.package import package_runs
from delineate.run_folder import RunFolder

__all__ = ["SUFFIX", "find_model", "publish", "read_note"]

log = logging.getLogger("delineate")

SUFFIX = ".zip"
FOREIGN = (".h5", ".hdf5", ".keras")


def publish(run: RunFolder, path: Path) -> Path:
    """Package a finished run as `path`, with its note."""
    path.parent.mkdir(parents=True, exist_ok=True)
    package_runs([run.path], path)
    split = run.read_json("cases.json")
    note = {part: [case["id"] for case in cases] for part, cases in split.items()}
    with atomic_path(path.with_suffix(".json")) as part:
        part.write_text(json.dumps({"run": str(run.path), **note}, indent=1), encoding="utf-8")
    return path


def find_model(asked: str | Path) -> Path:
    """A package, or the folder of a run; a TensorFlow name is that of the package beside it."""
    path = Path(asked)
    if path.suffix.lower() not in FOREIGN:
        if path.exists():
            return path
        raise DataError(f"{path}: no such model.{_there(path.parent)}")
    ours = path.with_suffix(SUFFIX)
    if ours.is_file():
        log.info("%s: models here are packages of delineate; %s is taken", path, ours)
        return ours
    if path.is_file():
        raise DataError(
            f"{path}: a model of TensorFlow, which cannot be read as one. "
            "Fix: train it here; python sota_training_pipeline.py writes models/*.zip."
        )
    raise DataError(f"{ours}: no such model (asked for as {path.name}).{_there(path.parent)}")


def read_note(model: Path) -> dict[str, Any]:
    """Who was held out and who was learned from; empty where nobody noted it."""
    if model.is_dir():
        split = RunFolder(model).path / "cases.json"
        if not split.is_file():
            return {}
        found = json.loads(split.read_text(encoding="utf-8"))
        return {part: [case["id"] for case in cases] for part, cases in found.items()}
    note = model.with_suffix(".json")
    return json.loads(note.read_text(encoding="utf-8")) if note.is_file() else {}


def _there(folder: Path) -> str:
    found = sorted(folder.glob(f"*{SUFFIX}")) if folder.is_dir() else []
    if not found:
        return " Fix: train first, python sota_training_pipeline.py."
    return f" There are: {', '.join(str(path) for path in found)}."
