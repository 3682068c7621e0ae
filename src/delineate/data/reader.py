"""What runs in a reading process: steps come in by its input, word of them goes out by its output.

The process is a fresh interpreter, not a fork: it shares no lock, thread or card with the training,
needs no `if __name__ == "__main__"` in a user's script, and ends when its input ends, however the
training ended.
"""

import os
import pickle
import signal
import sys
import time
from dataclasses import dataclass
from typing import BinaryIO

from delineate.data.samples import Samples
from delineate.data.shared_block import arrays_in
from delineate.plan.main_memory import MainMemory, measure_memory, measure_peak

__all__ = ["SLOTS", "Done", "read_steps"]

SLOTS = 2
"""How many batches a reader has room for: one that is read, one that is fetched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """Word of one step."""

    step: int
    slot: int
    cases: tuple[str, ...] = ()
    error: Exception | None = None
    """A MemoryError is the last word: the reader then ends."""
    peak_gb: float | None = None
    """The most that the reader has held; None where the system does not say."""
    memory: MainMemory | None = None
    """Of the machine, seen within the last second."""


def read_steps(block: int) -> None:
    """Answer until the input ends. `block` is the descriptor of the shared memory."""
    # The training decides what a signal to the whole group means; it closes our input.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    tell = os.fdopen(os.dup(1), "wb")
    # Whatever prints must not get among the words.
    os.dup2(2, 1)
    hear = sys.stdin.buffer
    try:
        samples: Samples = pickle.load(hear)
        _answer(samples, block, hear, tell)
    except (EOFError, BrokenPipeError):
        os._exit(0)


def _answer(samples: Samples, block: int, hear: BinaryIO, tell: BinaryIO) -> None:
    slots = arrays_in(block, samples.shapes, count=SLOTS)
    memory, looked = measure_memory(), time.monotonic()
    while True:
        step, slot = pickle.load(hear)
        cases: tuple[str, ...] = ()
        error: Exception | None = None
        try:
            cases = samples.fill(step, slots[slot])
        except Exception as trouble:
            error = trouble
        if time.monotonic() - looked > 1:
            memory, looked = measure_memory(), time.monotonic()
        word = Done(
            step=step, slot=slot, cases=cases, error=error, peak_gb=measure_peak(), memory=memory
        )
        pickle.dump(word, tell)
        tell.flush()
        if isinstance(error, MemoryError):
            os._exit(0)
