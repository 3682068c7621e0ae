"""Errands to a place that may be slow or away for a while, run by a thread, in order."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Courier"]

log = logging.getLogger("delineate")

MOST_FAILURES = 5
"""In a row, until the place is left alone for a while."""
MOST_FAULTS = 3
PATIENCE_S = 60.0
"""How long the end of a training waits for a place that does not answer."""


class Courier:
    """Runs errands one after another, so that no training step waits for them.

    What fails is tried again later, since the place may be away for a while. An errand that fails
    thrice while others succeed is itself at fault and given up. The log tells of all of it.

    Args:
        place: where the errands go, for messages.
        retry_s: seconds between two attempts.
    """

    def __init__(self, place: str, *, retry_s: float = 10.0) -> None:
        self.place = place
        self.retry_s = retry_s
        self._errands: deque[Errand] = deque()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._failed = False
        self._thread = threading.Thread(target=self._run, name=f"to {place}", daemon=True)
        self._thread.start()

    def send(self, errand: Callable[[], object]) -> None:
        """Leave an errand and return."""
        self._errands.append(Errand(errand))
        self._wake.set()

    def close(self, patience_s: float = PATIENCE_S) -> None:
        """Return when all errands are run, or when they failed, or took longer than that."""
        self._closing.set()
        self._wake.set()
        self._thread.join(patience_s)
        if self._errands:
            log.warning("%s: %d reports were not delivered.", self.place, len(self._errands))

    def _run(self) -> None:
        while not (self._closing.is_set() and not self._errands):
            self._wake.wait()
            self._wake.clear()
            if not self._round():
                if self._closing.is_set():
                    return
                self._closing.wait(self.retry_s)
                self._wake.set()

    def _round(self) -> bool:
        """Run what there is, up to some failures: whether none is left."""
        failed: list[Errand] = []
        reached = False
        while self._errands and len(failed) < MOST_FAILURES:
            errand = self._errands[0]
            if self._try(errand):
                reached = True
            else:
                failed.append(errand)
            self._errands.popleft()
        if reached:
            failed = [errand for errand in failed if not self._is_hopeless(errand)]
        self._errands.extendleft(reversed(failed))
        return not failed

    def _try(self, errand: "Errand") -> bool:
        try:
            errand.call()
        except Exception as error:  # no fault of a tracker may end a training
            errand.error = f"{type(error).__name__}: {error}"
            if not self._failed:
                log.warning(
                    "%s: %s. Training goes on; reports are kept and sent again later.",
                    self.place,
                    errand.error,
                )
            self._failed = True
            return False
        self._failed = False
        return True

    def _is_hopeless(self, errand: "Errand") -> bool:
        errand.faults += 1
        if errand.faults < MOST_FAULTS:
            return False
        log.warning("%s: a report is given up: %s.", self.place, errand.error)
        return True


@dataclass(slots=True, eq=False)
class Errand:
    """What is to be called, and how it went so far."""

    call: Callable[[], object]
    faults: int = 0
    """How often it failed although the place was there."""
    error: str = ""
