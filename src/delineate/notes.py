"""The lines that a run notes, shown to whoever started it or written to a file."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["heard_by", "showing_notes", "writing_notes"]


def _on_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextmanager
def showing_notes(show: Callable[[str], object] = _on_stderr) -> Iterator[None]:
    """Inside, every line of the log goes to `show`, but for errors, which end a command anyway."""
    with heard_by(_Shown(show)):
        yield


@contextmanager
def writing_notes(file: Path, mode: str = "a") -> Iterator[None]:
    """Inside, every line of the log goes to the file too, errors as well, with the time in UTC."""
    handler = logging.FileHandler(file, mode=mode, encoding="utf-8")
    form = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S")
    form.converter = time.gmtime
    handler.setFormatter(form)
    try:
        with heard_by(handler):
            yield
    finally:
        handler.close()


@contextmanager
def heard_by(handler: logging.Handler) -> Iterator[None]:
    """Inside, every line of the log goes to the handler."""
    log = logging.getLogger("delineate")
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


class _Shown(logging.Handler):
    def __init__(self, show: Callable[[str], object]) -> None:
        super().__init__()
        self.show = show

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.ERROR:
            self.show(record.getMessage())
