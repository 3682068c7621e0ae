"""Progress on the console, the lines of the log above it, and the same lines in training.log."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

__all__ = ["ConsoleBars", "speaking"]

T = TypeVar("T")

COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    TextColumn("{task.percentage:>3.0f}%"),
    TimeRemainingColumn(elapsed_when_finished=True),
)
LINE = "%(asctime)s %(levelname)s %(message)s"


class ConsoleBars:
    """A bar for each thing that takes long; that of the training tells the last figures."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._training: TaskID | None = None
        self.figures = ""
        """What is shown beside the step."""

    def track(self, items: Iterable[T], total: int, description: str) -> Iterable[T]:
        """Hand the items on, and count them."""
        yield from self._bars.track(items, total=total, description=description)

    def training(self, progress: float, text: str) -> None:
        """Show how far the training has come."""
        if self._training is None:
            self._training = self._bars.add_task("training", total=1.0)
        told = f"training, {text}{self.figures}"
        self._bars.update(self._training, completed=progress, description=told)


@contextmanager
def speaking(log_file: Path) -> Iterator[ConsoleBars]:
    """Bars where standard error is a terminal, the log on standard error and in the file."""
    log, console = logging.getLogger("delineate"), Console(stderr=True, highlight=False)
    log_file.parent.mkdir(parents=True, exist_ok=True)
    written, level = logging.FileHandler(log_file, encoding="utf-8"), log.level
    written.setFormatter(logging.Formatter(LINE))
    handlers = (written, _Notes(console))
    log.setLevel(logging.INFO)
    for handler in handlers:
        log.addHandler(handler)
    try:
        shown = console.is_terminal
        with Progress(*COLUMNS, console=console, transient=True, disable=not shown) as bars:
            yield ConsoleBars(bars)
    finally:
        for handler in handlers:
            log.removeHandler(handler)
        log.setLevel(level)
        written.close()


class _Notes(logging.Handler):
    """Lines above the bars."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        self.console.print(record.getMessage(), markup=False, soft_wrap=True)
