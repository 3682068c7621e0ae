"""How long the parts of a training step take, how fast samples are read, how hard it computes."""

import logging
import os
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any, cast

import torch
from torch.profiler import ProfilerActivity, record_function
from torch.profiler import profile as watch_kernels
from torch.utils.flop_counter import FlopCounterMode

from delineate.contracts import Batch
from delineate.cores import usable_cores
from delineate.data.batches import Batches
from delineate.engine.hardware import Precision
from delineate.engine.memory_use import memory_figures
from delineate.engine.step import TrainingStep
from delineate.inference.allocator import TRAINED, freed_memory_kept
from delineate.io import atomic_path

__all__ = ["Profile", "Stopwatch", "measure", "write_trace"]

log = logging.getLogger("delineate")

FEW = 3
"""Steps that are traced, and the least that are done before any is timed."""
WARM_SECONDS = 5.0
"""An epoch is read before the timing, to fill the memory for cases, but no longer than this."""
NEGLIGIBLE = 0.05
"""Reading this share of a step's computation needs no process of its own."""

Seconds = Mapping[str, float]
"""By part, per step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Where the time of a step goes; all figures are means over the steps timed."""

    device: str
    precision: Precision
    compiled: bool
    batch_size: int
    steps: int
    workers: int
    """Reading processes that the training is to have."""
    by_workers: Mapping[int, Seconds]
    """The parts of a step with so many reading processes."""
    reading: float
    """Seconds that one process takes to read a batch when nothing else happens."""
    flops: int
    """Floating-point operations of the network per step, both passes."""
    matmul: float
    """Floating-point operations per second that the device reaches in a matrix product."""
    memory_gb: float | None
    """The most held at once: on the card, or by this process; None where nobody knows."""
    busy: float | None
    """The share of a step in which the card computes; None on a CPU."""

    @property
    def seconds(self) -> Seconds:
        """The parts of a step of the training as it is configured."""
        return self.by_workers[self.workers]

    @property
    def total(self) -> float:
        """Seconds per step."""
        return sum(self.seconds.values())

    @property
    def shares(self) -> Mapping[str, float]:
        """The parts of a step, together 1."""
        return {part: seconds / self.total for part, seconds in self.seconds.items()}

    @property
    def rate(self) -> float:
        """Floating-point operations per second while the network computes."""
        return self.flops / (self.seconds["forward"] + self.seconds["backward"])

    @property
    def enough(self) -> int:
        """Reading processes that keep up with the rest of a step, by the rate of one alone."""
        return _enough(self.reading, self.total - self.seconds["read"])


class Stopwatch:
    """Sums of the time that passes from mark to mark, by part.

    On a card the marks are events in its queue, for which nobody waits: the time of a part is what
    the card spends on it or, with nothing to do, spends waiting for it. So the parts add up to the
    time of a training that nobody watches.
    """

    def __init__(self, device: str) -> None:
        self._on_card = device == "cuda"
        self._marks: list[tuple[str, Any]] = []

    def start(self) -> None:
        """Begin anew, with nothing left to do."""
        if self._on_card:
            torch.cuda.synchronize()
        self._marks = [("", self._mark())]

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What has passed since the last mark belongs to `name` when the block ends."""
        yield
        self._marks.append((name, self._mark()))

    def seconds(self) -> dict[str, float]:
        """The sums."""
        if self._on_card:
            torch.cuda.synchronize()
        sums: dict[str, float] = {}
        for (_, before), (name, after) in pairwise(self._marks):
            passed = before.elapsed_time(after) / 1e3 if self._on_card else after - before
            sums[name] = sums.get(name, 0.0) + passed
        return sums

    def _mark(self) -> Any:
        if not self._on_card:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event


def measure(step: TrainingStep, batches: Batches, *, steps: int) -> Profile:
    """Train for so many steps, with as many readers as the batches have and with others.

    The others are none, and as many as would keep up; the weights of the task move.
    """
    with freed_memory_kept(below=TRAINED):
        return _measure(step, batches, steps=steps)


def _measure(step: TrainingStep, batches: Batches, *, steps: int) -> Profile:
    if step.device == "cuda":
        torch.backends.cudnn.benchmark = True
    asked = batches.workers
    by_workers = {asked: _parts(step, batches, steps)}
    memory = memory_figures(step.device)
    total, read = sum(by_workers[asked].values()), by_workers[asked]["read"]
    reading = _reading(replace(batches, workers=0), steps)
    for workers in _others(asked, _enough(reading, total - read)):
        by_workers[workers] = _parts(step, replace(batches, workers=workers), steps)
    with _opened(replace(batches, workers=0)) as reader:
        batch = next(reader)
    return Profile(
        device=step.device,
        precision=step.precision,
        compiled=step.task.compiled,
        batch_size=batches.batch_size,
        steps=steps,
        workers=asked,
        by_workers=dict(sorted(by_workers.items())),
        reading=reading,
        flops=_count_flops(step, batch),
        matmul=_matmul_rate(step),
        memory_gb=memory.get("gpu_memory_gb", memory.get("memory_gb")),
        busy=_kernel_seconds(step, batch) / total if step.device == "cuda" else None,
    )


def write_trace(step: TrainingStep, batches: Batches, file: Path) -> None:
    """Write a few steps as a Chrome trace, their parts by name."""
    with _opened(batches) as reader:
        for _ in range(FEW):
            step(next(reader))
        with watch_kernels() as seen:
            for _ in range(FEW):
                with record_function("read"):
                    batch = next(reader)
                step(batch, record_function)
    with atomic_path(file) as part:
        seen.export_chrome_trace(str(part))


def _parts(step: TrainingStep, batches: Batches, steps: int) -> dict[str, float]:
    """Seconds per step by part, after a warm-up."""
    log.info("timing %d steps with %d reading processes", steps, batches.workers)
    watch = Stopwatch(step.device)
    with _opened(batches) as reader:
        _warm_up(step, reader, ceil(len(batches.ids) / batches.batch_size))
        if step.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        watch.start()
        for _ in range(steps):
            with watch.part("read"):
                batch = next(reader)
            step(batch, watch.part)
        return {part: seconds / steps for part, seconds in watch.seconds().items()}


def _warm_up(step: TrainingStep, reader: Iterator[Batch], epoch: int) -> None:
    """Kernels are chosen or compiled, memory is faulted in, cases are unpacked."""
    for _ in range(FEW):
        step(next(reader))
    until = time.monotonic() + WARM_SECONDS
    for _ in range(epoch - FEW):
        if time.monotonic() >= until:
            break
        step(next(reader))


def _reading(batches: Batches, steps: int) -> float:
    """Seconds to read a batch."""
    with _opened(batches) as reader:
        next(reader)
        begun = time.perf_counter()
        for _ in range(steps):
            next(reader)
        return (time.perf_counter() - begun) / steps


def _opened(batches: Batches) -> closing[Generator[Batch, None, None]]:
    """A pass over the batches whose reading processes end with the block."""
    return closing(cast(Generator[Batch, None, None], iter(batches)))


def _enough(reading: float, computing: float) -> int:
    return 0 if reading <= NEGLIGIBLE * computing else ceil(reading / computing)


def _others(asked: int, enough: int) -> list[int]:
    """Numbers of reading processes to compare with; only POSIX systems can share memory."""
    most = usable_cores() if os.name == "posix" else 0
    return sorted({0, min(enough, most)} - {asked})


def _count_flops(step: TrainingStep, batch: Batch) -> int:
    with FlopCounterMode(display=False) as counter:
        step.both_passes(batch)
    return counter.get_total_flops()


def _matmul_rate(step: TrainingStep) -> float:
    """The best of a few products of square matrices, in the arithmetic of the network."""
    size = 8192 if step.device == "cuda" else 1024
    matrix = torch.ones(size, size, dtype=step.kind, device=step.device)
    watch, best = Stopwatch(step.device), float("inf")
    usual = torch.get_float32_matmul_precision()
    # Convolutions may round fp32 to TF32 on a card by default, products may not.
    torch.set_float32_matmul_precision("high" if step.device == "cuda" else usual)
    try:
        for _ in range(5):
            watch.start()
            with watch.part("matmul"):
                torch.mm(matrix, matrix)
            best = min(best, watch.seconds()["matmul"])
    finally:
        torch.set_float32_matmul_precision(usual)
    return 2 * size**3 / best


def _kernel_seconds(step: TrainingStep, batch: Batch) -> float:
    """How long the card computes in a step, without the gaps between its kernels."""
    with watch_kernels(activities=[ProfilerActivity.CUDA]) as seen:
        for _ in range(FEW):
            step(batch)
        torch.cuda.synchronize()
    kernels = [e for e in seen.key_averages() if e.device_type.name == "CUDA"]
    return sum(kernel.self_device_time_total for kernel in kernels) / 1e6 / FEW
