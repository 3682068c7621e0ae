"""A run of Sacred taken up again: Sacred itself only begins runs.

The observer is put in the state in which it left the run, and figures of later steps are cut off.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from delineate.io import atomic_path

if TYPE_CHECKING:
    from sacred.observers import FileStorageObserver, MongoObserver

__all__ = ["Left", "files_observer", "reopen_files", "reopen_mongo"]


class Left(NamedTuple):
    """What a run keeps outside its observers."""

    start_time: datetime
    captured_out: str
    info: dict[str, Any]


def files_observer(folder: Path) -> "FileStorageObserver":
    """Sacred's own, whose JSON files are complete at any time: a kill must not cost the figures."""
    from sacred.observers import FileStorageObserver

    observer = FileStorageObserver(folder)
    observer.save_json = partial(_save_json, observer)  # pyright: ignore[reportAttributeAccessIssue] # one name differs
    return observer


def reopen_files(observer: "FileStorageObserver", run_id: str, *, step: int) -> Left | None:
    """Go on with `<folder>/<run_id>` after a step; None where there is no such run."""
    folder = Path(observer.basedir) / run_id
    try:
        entry = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        observer.config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        text = (folder / "cout.txt").read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    observer.dir = str(folder)
    observer.run_entry = _running(entry)
    observer.info = {}
    observer.cout, observer.cout_write_cursor = text, len(text)
    if (folder / "metrics.json").is_file():
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        observer.save_json({name: _until(m, step) for name, m in metrics.items()}, "metrics.json")
    return Left(datetime.fromisoformat(entry["start_time"]), text, {})


def reopen_mongo(observer: "MongoObserver", run_id: int, *, step: int) -> Left | None:
    """Go on with the document of that id after a step; None where there is no such run."""
    entry = observer.runs.find_one({"_id": run_id})
    if entry is None:
        return None
    observer.run_entry = _running(entry)
    metrics = observer.metrics
    assert metrics is not None, "observers that are open have a place for metrics"
    for metric in metrics.find({"run_id": run_id}):
        metrics.update_one({"_id": metric["_id"]}, {"$set": _until(metric, step)})
    return Left(entry["start_time"], entry["captured_out"], entry["info"])


def _running(entry: Mapping[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in entry.items() if key not in ("stop_time", "fail_trace")}
    return rest | {"status": "RUNNING"}


def _until(metric: Mapping[str, list[Any]], step: int) -> dict[str, list[Any]]:
    kept = [i for i, taken in enumerate(metric["steps"]) if taken <= step]
    return {key: [metric[key][i] for i in kept] for key in ("steps", "values", "timestamps")}


def _save_json(observer: "FileStorageObserver", data: Any, filename: str) -> None:
    from sacred.serializer import flatten

    with atomic_path(Path(observer.dir or "") / filename) as part:
        part.write_text(json.dumps(flatten(data), sort_keys=True, indent=2), encoding="utf-8")
