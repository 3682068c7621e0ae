"""Processes that read ahead. One that dies is named with the likely cause, and the rest go on."""

import logging
import os
import pickle
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, islice
from queue import SimpleQueue
from tempfile import TemporaryFile
from threading import Thread
from typing import Any

import numpy as np

from delineate.data.reader import SLOTS, Done
from delineate.data.samples import Samples
from delineate.data.shared_block import arrays_in, block_size, open_block
from delineate.plan.main_memory import count_memory_kills

__all__ = ["Batch", "Readers", "read_ahead"]

log = logging.getLogger("delineate")

_START = """\
import sys
sys.path[:] = {path!r}
from delineate.data.reader import read_steps
read_steps({block})
"""


Batch = tuple[Done, Any]
"""Word of a step, and the batch that was made fresh for it."""
Fresh = Callable[[], tuple[Any, Mapping[str, np.ndarray]]]
"""Makes an empty batch, and shows its arrays by name."""


def read_ahead(
    readers: "Readers", steps: Iterator[int], *, alone: Callable[[int], Batch]
) -> Generator[Batch, None, None]:
    """Batches in the order of the steps; when no reader is left, `alone` makes the others."""
    awaited: deque[int] = deque()
    todo: list[int] = []
    ready: dict[int, Batch] = {}
    try:
        while True:
            new = list(islice(steps, max(0, SLOTS * len(readers) - len(awaited))))
            awaited += new
            todo += new
            while todo and readers.give(todo[0]):
                todo.pop(0)
            if not len(readers) or not awaited:
                break
            if awaited[0] in ready:
                yield ready.pop(awaited.popleft())
                continue
            told = readers.wait()
            if isinstance(told, list):
                todo = sorted([*todo, *told])
            else:
                ready[told[0].step] = told
        for step in chain(awaited, steps):
            yield ready.pop(step) if step in ready else alone(step)
    finally:
        readers.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Word:
    """What a reader has done; None when it has died."""

    reader: "_Reader"
    done: Done | None
    batch: Any = None


class Readers:
    """Some reading processes, each with at most two steps to do.

    Args:
        samples: What they read.
        count: How many there are.
        fresh: Makes the batches that are handed over.
    """

    def __init__(self, samples: Samples, count: int, fresh: Fresh) -> None:
        self._told: SimpleQueue[_Word] = SimpleQueue()
        self._kills = count_memory_kills()
        self._started = count
        self._alive: list[_Reader] = []
        self._last: Done | None = None
        try:
            for _ in range(count):
                self._alive.append(_Reader(samples, fresh, self._told))
        except OSError as error:
            log.warning(
                f"Only {len(self)} of {count} reading processes could be started ({error}). "
                f"Fix: train.workers={len(self)}."
            )

    def __len__(self) -> int:
        return len(self._alive)

    def give(self, step: int) -> bool:
        """Have the reader with the least to do read a step; False if all have enough."""
        reader = min(self._alive, key=lambda r: len(r.steps), default=None)
        if reader is None or len(reader.steps) >= SLOTS:
            return False
        reader.give(step)
        return True

    def wait(self) -> Batch | list[int]:
        """The next batch, in any order; or the steps of a reader that has died."""
        word = self._told.get()
        if word.reader not in self._alive:
            # Its steps are with another already.
            return []
        if word.done is not None and not isinstance(word.done.error, MemoryError):
            self._last = word.done
            word.reader.steps.pop(word.done.step)
            return word.done, word.batch
        self._alive.remove(word.reader)
        word.reader.close()
        left = sorted(word.reader.steps)
        log.warning(self._obituary(word, left))
        return left

    def close(self) -> None:
        """End the processes at once."""
        for reader in self._alive:
            reader.close()
        self._alive.clear()

    def _obituary(self, word: _Word, left: list[int]) -> str:
        if word.done is not None:
            cause = f"ran out of memory ({word.done.error})"
        else:
            cause = word.reader.cause_of_death(by_kernel=count_memory_kills() > self._kills)
        seen, last = "", self._last
        if last is not None and last.memory is not None and last.peak_gb is not None:
            seen = (
                f" Shortly before, {last.memory.used:.1f} of {last.memory.total:.1f} GB of memory "
                f"were in use, {last.peak_gb:.1f} GB of them by one reader."
            )
        rest = len(self._alive)
        where = f" from step {left[0]}" if left else ""
        how = f"with {rest} of {self._started} readers" if rest else "without readers"
        return (
            f"A reading process {cause}.{seen} Training goes on{where} {how}; the samples stay the "
            f"same. Fix: train.workers={rest}, or a smaller patch or batch."
        )


class _Reader:
    """One process, and the thread that takes its words and empties its slots."""

    def __init__(self, samples: Samples, fresh: Fresh, told: "SimpleQueue[_Word]") -> None:
        self.steps: dict[int, int] = {}
        self._last_words: list[str] = []
        self._fresh = fresh
        self._told = told
        block = open_block(SLOTS * block_size(samples.shapes))
        self._said = TemporaryFile()  # noqa: SIM115 # it lives as long as the process
        try:
            self._slots = arrays_in(block, samples.shapes, count=SLOTS)
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START.format(path=sys.path, block=block)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                pass_fds=[block],
                # One thread each: they are many.
                env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        except OSError:
            self._said.close()
            raise
        finally:
            os.close(block)
        self._send(samples)
        self._thread = Thread(target=self._listen, daemon=True, name="delineate-reader")
        self._thread.start()

    def give(self, step: int) -> None:
        """Have it read a step into a slot that is free."""
        slot = next(s for s in range(SLOTS) if s not in self.steps.values())
        self.steps[step] = slot
        self._send((step, slot))

    def cause_of_death(self, *, by_kernel: bool) -> str:
        """How it ended before it was closed, with the last lines it has printed."""
        code = self._process.returncode
        if code == -signal.SIGKILL:
            known = "the kernel had no memory left" if by_kernel else "most likely for memory"
            return f"was killed (SIGKILL), {known}"
        how = f"crashed ({signal.Signals(-code).name})" if code < 0 else f"ended (exit code {code})"
        return how + "".join(f"\n  {line}" for line in self._last_words)

    def close(self) -> None:
        """End it at once, if it still runs: it holds nothing that must be saved."""
        self._process.kill()
        self._process.wait()
        self._thread.join()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdout.close()
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._said.seek(0)
        said = self._said.read().decode(errors="replace")
        self._last_words = said.strip().splitlines()[-5:]
        self._said.close()

    def _send(self, word: Any) -> None:
        assert self._process.stdin is not None
        # To a dead one: the thread that listens says so.
        with suppress(BrokenPipeError):
            pickle.dump(word, self._process.stdin)
            self._process.stdin.flush()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        try:
            # So its output ends with it, maybe within a word.
            with suppress(EOFError, OSError, ValueError, pickle.UnpicklingError):
                while True:
                    self._told.put(self._heard(pickle.load(self._process.stdout)))
        finally:
            # Its output ends a moment before it does: let it say how.
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=5)
            # Whatever happens: the training waits for it.
            self._told.put(_Word(reader=self, done=None))

    def _heard(self, done: Done) -> _Word:
        """The word, with the batch that lay in the reader's slot."""
        if done.error is not None:
            return _Word(reader=self, done=done)
        try:
            batch, arrays = self._fresh()
            for name, array in arrays.items():
                np.copyto(array, self._slots[done.slot][name])
        except Exception as error:
            return _Word(reader=self, done=replace(done, error=error))
        return _Word(reader=self, done=done, batch=batch)
