"""The lines that a run notes, shown to whoever started it."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["showing_notes"]


@contextmanager
def showing_notes(show: Callable[[str], object]) -> Iterator[None]:
    """Inside, every line of the log goes to `show`, but for errors, which end a command anyway."""
    log, shown = logging.getLogger("delineate"), _Shown(show)
    level = log.level
    log.addHandler(shown)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(shown)
        log.setLevel(level)


class _Shown(logging.Handler):
    def __init__(self, show: Callable[[str], object]) -> None:
        super().__init__()
        self.show = show

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.ERROR:
            self.show(record.getMessage())
