"""Ending a training by a signal: the step is finished, the state saved, the same command goes on.

Ctrl-C, SIGTERM (clusters before they kill) and SIGUSR1 (SLURM's --signal) are heard. The exit code
is 128 + the signal's number, as a shell has it for a process that a signal ended: 130, 143, 138.
By it a job script tells a run that is to be continued from one that is finished (0).
"""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["Interrupted", "Stop"]

HEARD = ("SIGINT", "SIGTERM", "SIGUSR1")
"""By name: not every system has all of them."""

log = logging.getLogger("delineate")


class Interrupted(BaseException):
    """A training was ended by a signal; what is needed to go on is on the disk."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        self.step: int | None = None
        """The step whose state was saved; None where none was saved for the signal."""

    @property
    def code(self) -> int:
        """The exit code of the command."""
        return 128 + self.number

    def __str__(self) -> str:
        place = "the last saved state" if self.step is None else f"step {self.step}"
        return f"Stopped by {_name(self.number)}. The same command goes on from {place}."


class Stop:
    """Hears the signals that ask a training to end, and remembers that one came."""

    def __init__(self) -> None:
        self.number: int | None = None
        """The signal that came."""
        self._at_once = False
        self._before: dict[int, Any] = {}

    def listen(self) -> None:
        """From here on a signal is a wish; outside the main thread Python hears none."""
        if threading.current_thread() is threading.main_thread():
            numbers = [getattr(signal, name) for name in HEARD if hasattr(signal, name)]
            self._before = {n: signal.signal(n, self._hear) for n in numbers}

    def leave(self) -> None:
        """Give the signals back to who had them before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def check(self) -> None:
        """Raise Interrupted where a signal came."""
        if self.number is not None:
            raise Interrupted(self.number)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Inside, a signal raises Interrupted wherever it comes: nothing there need be finished."""
        self._at_once = True
        try:
            self.check()
            yield
        finally:
            self._at_once = False

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """An error after a signal is its doing: clusters send it to the readers of samples too."""
        try:
            yield
        except Exception as error:
            if self.number is None:
                raise
            raise Interrupted(self.number) from error

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.number == number == signal.SIGINT:
            raise KeyboardInterrupt  # asked twice: at once, without saving
        self.number = number
        if self._at_once:
            raise Interrupted(number)
        log.info("%s: training ends after this step", _name(number))


def _name(number: int) -> str:
    return "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
