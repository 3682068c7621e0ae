"""The folder of one run: where each file lies, what is written beside them, and its log."""

import json
import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delineate.config import Config, dump_config
from delineate.errors import ConfigError, DataError
from delineate.io import atomic_path

__all__ = ["RunFolder"]


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Config, plan, cases, metrics, log, checkpoints, predictions and report of one training."""

    path: Path

    @property
    def config(self) -> Path:
        """What was asked for, every default written out."""
        return self.path / "config.yaml"

    @property
    def plan(self) -> Path:
        """What was worked out."""
        return self.path / "plan.json"

    @property
    def metrics(self) -> Path:
        """Figures by step."""
        return self.path / "metrics.csv"

    @property
    def weights(self) -> Path:
        """The best weights of the run."""
        return self.path / "checkpoints" / "best.safetensors"

    @property
    def validation(self) -> Path:
        """Masks of the held-out cases, and their scores."""
        return self.path / "validation"

    @property
    def table(self) -> Path:
        """The scores of the held-out cases."""
        return self.validation / "table.csv"

    @property
    def page(self) -> Path:
        """The report, written last."""
        return self.path / "report.html"

    @property
    def finished(self) -> bool:
        """Whether the held-out cases are scored and the page is written."""
        return self.page.is_file() and self.table.is_file()

    @classmethod
    @contextmanager
    def start(cls, config: Config) -> Iterator["RunFolder"]:
        """A fresh folder at `config.run_dir`; what an unfinished run left there is removed."""
        run = cls(config.run_dir)
        if run.finished:
            raise ConfigError(
                f"{run.path}: this run is finished (see {run.page}). Fix: choose another run_dir."
            )
        run._clear()
        run.validation.mkdir(parents=True)
        with atomic_path(run.config) as part:
            part.write_text(dump_config(config), encoding="utf-8")
        with run._logging():
            yield run

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """The folder of a training that has weights; anything else is a DataError."""
        run = cls(path)
        missing = [p.name for p in (run.config, run.plan, run.weights) if not p.is_file()]
        if missing:
            raise DataError(
                f"{path}: not the folder of a training that came to an end ({missing[0]} is "
                "missing). Fix: give a run_dir of `delineate train`."
            )
        return run

    def write_json(self, name: str, data: Any) -> None:
        """Save plain data under a name."""
        with atomic_path(self.path / name) as part:
            part.write_text(json.dumps(data, indent=1, default=str), encoding="utf-8")

    def say(self, text: str) -> None:
        """A line of the run's log."""
        logging.getLogger("delineate").info(text)

    def _clear(self) -> None:
        """Remove what a run writes; a folder that holds anything else is not touched."""
        if not self.path.exists():
            return
        if any(self.path.iterdir()) and not self.config.is_file():
            raise ConfigError(
                f"{self.path}: the folder is not empty and no run of ours. "
                "Fix: choose another run_dir."
            )
        for name in ("checkpoints", "validation"):
            shutil.rmtree(self.path / name, ignore_errors=True)

    @contextmanager
    def _logging(self) -> Iterator[None]:
        handler = logging.FileHandler(self.path / "log.txt", mode="w", encoding="utf-8")
        form = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S")
        form.converter = time.gmtime
        handler.setFormatter(form)
        log = logging.getLogger("delineate")
        log.setLevel(logging.INFO)
        log.addHandler(handler)
        try:
            yield
        except BaseException as error:
            log.error("%s: %s", type(error).__name__, error)
            raise
        finally:
            log.removeHandler(handler)
            handler.close()
