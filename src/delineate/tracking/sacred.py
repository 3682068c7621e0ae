"""A run of Sacred: in files below the run folder, and in a MongoDB where one is named."""

import logging
import platform
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from delineate.errors import ConfigError, require
from delineate.tracking.sacred_reports import Reports
from delineate.tracking.sacred_stores import Left, files_observer, reopen_files, reopen_mongo
from delineate.tracking.tracker import Tracker

if TYPE_CHECKING:
    from sacred.observers import MongoObserver, RunObserver
    from sacred.run import Run

__all__ = ["Sacred"]

log = logging.getLogger("delineate")

BEAT_S = 5.0
"""Seconds between two reports, which is what a crash may lose."""
BEAT_SHARE = 0.02
"""Sacred writes all figures again at each report: it may take this share of the time."""
MOST_TEXT = 1_000_000
"""Characters of the log; MongoDB refuses a run of more than 16 MB, figures not counted."""
ANSWER_MS = 10_000
"""How long a MongoDB may take to answer at the start."""


class Sacred(Tracker):
    """Figures as metrics, panels and files as artefacts, the log as captured output.

    Sacred's loop is not used: it would seed the process and replace its standard output.

    Args:
        mongo: the URL of a MongoDB that observes the run as well, mongodb://host:27017.
        database: the one in that MongoDB.
    """

    def __init__(
        self, folder: Path, name: str, *, mongo: str | None = None, database: str = "sacred"
    ) -> None:
        require("sacred", extra="sacred")
        if mongo is not None:
            require("pymongo", extra="sacred")
        super().__init__(folder, name)
        self.mongo = mongo
        self.database = database
        self._run: Run | None = None
        self._reports: list[Reports] = []
        self._lines = LogLines()
        self._next_beat = 0.0

    def _open(self) -> bool:
        from sacred.run import Run

        # MongoDB gives the id, which the folder of files takes over.
        observers = [*self._mongo_observer(), files_observer(self.folder / "sacred")]
        quiet = logging.getLogger("delineate.sacred")
        quiet.setLevel(logging.WARNING)
        run = Run(
            self._config, None, SimpleNamespace(prefix=None, signature=_COMMAND), observers,
            log, quiet, _experiment(), _host(), [], [],
        )  # fmt: skip
        run.meta_info = {"comment": self.name}
        self._run = run
        try:
            is_new = not self._goes_on(observers)
            if is_new:
                run._emit_started()
                self.id = str(run._id)
        except Exception as error:  # whatever a driver raises
            _disconnect(observers)
            raise self._no_place(error) from error
        log.addHandler(self._lines)
        self._reports = [Reports(observer, dict(run.info)) for observer in observers]
        return is_new

    def _mongo_observer(self) -> "list[MongoObserver]":
        if self.mongo is None:
            return []
        from pymongo.errors import PyMongoError
        from sacred.observers import MongoObserver

        try:
            return [
                MongoObserver(
                    self.mongo,
                    db_name=self.database,
                    failure_dir=str(self.folder / "sacred"),
                    serverSelectionTimeoutMS=ANSWER_MS,
                )
            ]
        except PyMongoError as error:
            raise self._no_place(error) from error

    def _no_place(self, error: Exception) -> ConfigError:
        return ConfigError(
            f"Sacred cannot open the run in {self.mongo or self.folder}: {error}. Fix: see that "
            "the URL is right and the server runs, or leave mongo out to write files only."
        )

    def _goes_on(self, observers: "list[RunObserver]") -> bool:
        """Take the run up again in all of its observers; where it is gone a new one is begun."""
        if self.id is None:
            return False
        left = [self._reopen(observer, self.id) for observer in observers]
        found = [run for run in left if run is not None]
        if len(found) < len(observers):
            return False
        assert self._run is not None
        self._run._id, self._run.status = self.id, "RUNNING"
        self._run.start_time, self._run.captured_out, self._run.info = found[0]
        return True

    def _reopen(self, observer: Any, run_id: str) -> Left | None:
        if hasattr(observer, "basedir"):
            return reopen_files(observer, run_id, step=self.step)
        return reopen_mongo(observer, int(run_id), step=self.step)

    def _send_figures(self, figures: Mapping[str, float], step: int) -> None:
        assert self._run is not None
        for name, value in figures.items():
            self._run.log_scalar(name, float(value), step)
        if time.monotonic() >= self._next_beat:
            self._flush()

    def _send_picture(self, name: str, path: Path, step: int) -> None:
        for reports in self._reports:
            reports.artefact(path, "image/png")

    def _send_config(self, config: Mapping[str, Any]) -> None:
        """Sacred has it since the start of the run."""

    def _send_file(self, path: Path) -> None:
        for reports in self._reports:
            reports.artefact(path, "text/plain")

    def _flush(self) -> None:
        from sacred.metrics_logger import linearize_metrics

        assert self._run is not None
        self._run.captured_out += self._lines.get()
        metrics = linearize_metrics(self._run._metrics.get_last_metrics())
        for reports in self._reports:
            reports.figures(metrics, self._run.captured_out)
        dearest = max(reports.seconds for reports in self._reports)
        self._next_beat = time.monotonic() + max(BEAT_S, dearest / BEAT_SHARE)

    def _close(self, *, complete: bool) -> None:
        assert self._run is not None
        log.removeHandler(self._lines)
        self._flush()
        for reports in self._reports:
            reports.close()
        self._run._stop_time()
        if complete:
            self._run._emit_completed(None)
        else:
            self._run._emit_interrupted("INTERRUPTED")
        _disconnect(self._run.observers)


class LogLines(logging.Handler):
    """The lines of the log since they were last asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._lines: list[str] = []
        self._left = MOST_TEXT

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line, unless there is too much text already."""
        line = self.format(record) + "\n"
        self._left -= len(line)
        if self._left >= 0:
            self._lines.append(line)

    def get(self) -> str:
        """The new lines."""
        lines, self._lines = self._lines, []
        return "".join(lines)


def _disconnect(observers: "list[RunObserver]") -> None:
    for observer in observers:
        client = getattr(observer, "_client", None)
        if client is not None:
            client.close()


_COMMAND = SimpleNamespace(name="train")


def _experiment() -> dict[str, Any]:
    packages = [f"{name}=={version(name)}" for name in ("delineate", "torch", "lightning", "numpy")]
    return {
        "name": "delineate", "base_dir": "", "sources": [], "dependencies": packages,
        "repositories": [], "mainfile": None,
    }  # fmt: skip


def _host() -> dict[str, Any]:
    return {
        "hostname": platform.node(),
        "os": [platform.system(), platform.platform()],
        "python_version": platform.python_version(),
    }
