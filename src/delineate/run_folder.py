"""The folder of one run: where each file lies, what is written beside them, and its log."""

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from delineate.config import Config, dump_config, load_config
from delineate.errors import ConfigError, DataError
from delineate.folder_lock import LOCK, alone_in
from delineate.io import atomic_path, is_image, stem
from delineate.notes import writing_notes

__all__ = ["RunFolder", "first_free"]

log = logging.getLogger("delineate")

HARMLESS = {"run_dir", "data.cache", "train.checkpoint", "train.workers", "track"}
"""Keys that change no weight: a run may go on with others."""


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
    def lines(self) -> Path:
        """The same figures, one JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def panels(self) -> Path:
        """Pictures of some held-out cases at each validation."""
        return self.path / "panels"

    @property
    def weights(self) -> Path:
        """The best weights of the run."""
        return self.path / "checkpoints" / "best.safetensors"

    @property
    def states(self) -> Path:
        """The folder of the states that an unfinished training goes on from."""
        return self.weights.parent

    @property
    def unfinished(self) -> bool:
        """Whether there is a state to go on from."""
        return any(self.states.glob("state-*.safetensors")) and not self.finished

    @property
    def validation(self) -> Path:
        """Masks of the held-out cases, and their scores."""
        return self.path / "validation"

    @property
    def table(self) -> Path:
        """The scores of the held-out cases."""
        return self.validation / "table.csv"

    @property
    def domain(self) -> Path:
        """What the training scans look like."""
        return self.path / "domain.json"

    @property
    def start_table(self) -> Path:
        """What became of the weights that the training began with."""
        return self.path / "start.json"

    @property
    def steps(self) -> Path:
        """The post-processing that helps on the held-out cases, with the reasons."""
        return self.path / "postprocessing.json"

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
    def start(cls, config: Config, *, restart: bool = False) -> Iterator["RunFolder"]:
        """The folder at `config.run_dir`: that of an unfinished run as it is, or a fresh one.

        Args:
            restart: Remove what an unfinished run left there.
        """
        run = cls(config.run_dir)
        with alone_in(run.path):
            if run.finished:
                raise ConfigError(
                    f"{run.path}: this run is finished (see {run.page}). "
                    "Fix: choose another run_dir."
                )
            if run.unfinished and not restart:
                run.refuse_another(config)
            else:
                run._clear()
            run.validation.mkdir(parents=True, exist_ok=True)
            with atomic_path(run.config) as part:
                part.write_text(dump_config(config), encoding="utf-8")
            with run._logging("a" if run.unfinished else "w"):
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

    def refuse_another(self, config: Config) -> None:
        """A run goes on, and its scores are taken, as what it was begun as; else a ConfigError."""
        before, wished = (
            _flat(c.model_dump(mode="json")) for c in (load_config(self.config), config)
        )
        keys = [k for k in sorted(before.keys() | wished.keys()) if before.get(k) != wished.get(k)]
        other = [_difference(k, before.get(k), wished.get(k)) for k in keys if k not in HARMLESS]
        if other:
            kind, anew = "a finished", ""
            if not self.finished:
                kind = "an unfinished"
                anew = ", or begin here anew with `delineate train ... --restart`"
            raise ConfigError(
                f"{self.path}: {kind} run of another configuration lies here: "
                f"{'; '.join(other)}. Fix: choose another run_dir{anew}."
            )

    def is_another(self, config: Config) -> bool:
        """Whether the run here was begun as another."""
        try:
            self.refuse_another(config)
        except ConfigError:
            return True
        return False

    def write_json(self, name: str, data: Any) -> None:
        """Save plain data under a name."""
        with atomic_path(self.path / name) as part:
            part.write_text(json.dumps(data, indent=1, default=str), encoding="utf-8")

    def read_json(self, name: str) -> Any:
        """What was saved under a name."""
        return json.loads((self.path / name).read_text(encoding="utf-8"))

    def pairs(self) -> list[tuple[Path, str]]:
        """The predicted and the true mask of every held-out case that has a truth."""
        truth = {case["id"]: case["label"] for case in self.read_json("cases.json")["validation"]}
        masks = {stem(path): path for path in self.validation.iterdir() if is_image(path)}
        return [(masks[case], label) for case, label in truth.items() if label is not None]

    def say(self, text: str) -> None:
        """A line of the run's log."""
        log.info(text)

    def drop_states(self) -> None:
        """Remove what only an unfinished training needs."""
        for path in self.states.glob("state-*"):
            path.unlink()

    def _clear(self) -> None:
        """Remove what a run writes; a folder that holds anything else is not touched."""
        if not self.path.exists():
            return
        if set(self.path.iterdir()) - {self.path / LOCK} and not self.config.is_file():
            raise ConfigError(
                f"{self.path}: the folder is not empty and no run of ours. "
                "Fix: choose another run_dir."
            )
        for folder in (self.states, self.validation, self.panels):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (self.metrics, self.lines, self.domain, self.steps, self.start_table):
            file.unlink(missing_ok=True)

    @contextmanager
    def _logging(self, mode: str) -> Iterator[None]:
        with writing_notes(self.path / "log.txt", mode):
            try:
                yield
            except BaseException as error:
                log.error("%s: %s", type(error).__name__, error)
                raise


def _taken(config: Config) -> bool:
    run = RunFolder(config.run_dir)
    return run.finished or (run.unfinished and run.is_another(config))


def first_free(
    first: Path, make: Callable[[Path], Config], taken: Callable[[Config], bool] = _taken
) -> Config:
    """What is made for `first`, or else for the first of `first_2`, ... that is not taken.

    Args:
        taken: whether a run that is not to be gone on with lies in the folder of a configuration:
            a finished one, or an unfinished one of another configuration.
    """
    names = (first.name if n == 1 else f"{first.name}_{n}" for n in count(1))
    made = (make(first.with_name(name)) for name in names)
    return next(config for config in made if not taken(config))


def _flat(section: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Values by dotted key; a list is one value."""
    flat: dict[str, Any] = {}
    for key, value in section.items():
        flat |= _flat(value, f"{above}{key}.") if isinstance(value, dict) else {above + key: value}
    return flat


def _difference(key: str, before: Any, wished: Any) -> str:
    """'train.seed was 0, is 1'; of lists the name alone, since they are long."""
    if isinstance(before, list) or isinstance(wished, list):
        return f"{key} has changed"
    return f"{key} was {json.dumps(before)}, is {json.dumps(wished)}"
