"""Scans that wait for their mask: a bounded queue, and one thread that predicts them in turn.

One thread, because a second scan at the same time would share the processor or the card with the
first, take as long, and need the memory twice.
"""

import logging
import secrets
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition, Thread
from typing import Literal

from delineate.serve.answer import Answer
from delineate.serve.limits import Limits
from delineate.serve.refusal import Refusal, explain, where

__all__ = ["Job", "Jobs"]

log = logging.getLogger("delineate.serve")

State = Literal["arriving", "waiting", "running", "done", "failed"]
_SWEEP_S = 30.0
"""How often results that have lain too long are removed."""


@dataclass(slots=True, eq=False)
class Job:
    """One scan on its way to a mask, in a folder of its own."""

    folder: Path
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    outcome: Future[Answer | Refusal] = field(default_factory=Future)
    """Never an exception: one that nobody asks for would be printed, text and all."""
    work: Callable[[], Answer] | None = None
    """None while the upload arrives."""
    ended: float | None = None
    """On the clock that only runs forward."""
    dropped: bool = False
    """Nobody wants it any more; its folder goes as soon as no thread works in it."""

    @property
    def state(self) -> State:
        """How far it has come."""
        if self.outcome.done():
            failed = self.outcome.cancelled() or isinstance(self.outcome.result(), Refusal)
            return "failed" if failed else "done"
        if self.work is None:
            return "arriving"
        return "running" if self.outcome.running() else "waiting"


class Jobs:
    """All jobs of a service; their folders lie in one that goes with it."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._root = tempfile.TemporaryDirectory(prefix="delineate-", ignore_cleanup_errors=True)
        self._jobs: dict[str, Job] = {}
        self._queue: deque[Job] = deque()
        self._changed = Condition()
        self._closed = False
        self._pace_s = 1.0
        self._worker = Thread(target=self._work, name="predict", daemon=True)
        self._worker.start()

    def reserve(self) -> Job:
        """A place for a scan whose upload begins; a 503 where all are taken."""
        with self._changed:
            before = self._count("arriving", "waiting")
            if self._closed or before >= self._limits.waiting:
                raise Refusal(
                    503,
                    f"the service is busy: all places ({before}) are taken.",
                    fix="Try again later.",
                    retry_after=max(1, round(self._pace_s * before)),
                )
            job = Job(Path(tempfile.mkdtemp(dir=self._root.name)))
            self._jobs[job.id] = job
            return job

    def submit(self, job: Job, work: Callable[[], Answer]) -> None:
        """Queue what is to be done in the job's folder."""
        with self._changed:
            job.work = work
            self._queue.append(job)
            self._changed.notify()

    def find(self, id: str) -> Job:
        """The job of that id; a 404 where there is none, or no more."""
        job = self._jobs.get(id)
        if job is None:
            raise Refusal(404, "no such job.", fix="It may have been deleted, or lain too long.")
        return job

    def drop(self, job: Job) -> None:
        """Forget a job and remove its files, now or when the thread that uses them has ended."""
        with self._changed:
            self._jobs.pop(job.id, None)
            job.dropped = True
            job.outcome.cancel()
            used = job.outcome.running()
            if job in self._queue:
                self._queue.remove(job)
        if not used:
            shutil.rmtree(job.folder, ignore_errors=True)

    def place(self, job: Job) -> int:
        """How many scans are predicted before this one."""
        with self._changed:
            if job not in self._queue:
                return 0
            return self._queue.index(job) + self._count("running")

    def counts(self) -> dict[State, int]:
        """How many jobs there are in each state."""
        with self._changed:
            return {
                state: self._count(state)
                for state in ("arriving", "waiting", "running", "done", "failed")
            }

    def alive(self) -> bool:
        """Whether the thread that predicts is there."""
        return self._worker.is_alive()

    def close(self) -> None:
        """Take no more, and remove every file; a scan that is predicted gets some seconds."""
        with self._changed:
            self._closed = True
            for job in self._jobs.values():
                job.outcome.cancel()
            self._queue.clear()
            self._changed.notify()
        self._worker.join(timeout=5)
        self._root.cleanup()

    def _count(self, *states: State) -> int:
        return sum(job.state in states for job in self._jobs.values())

    def _work(self) -> None:
        while (job := self._next()) is not None:
            if not job.outcome.set_running_or_notify_cancel() or job.work is None:
                continue
            began = time.monotonic()
            outcome = _attempt(job.work, job)
            with self._changed:
                job.ended = time.monotonic()
                self._pace_s = job.ended - began
                job.outcome.set_result(outcome)
                dropped = job.dropped
            if dropped:
                shutil.rmtree(job.folder, ignore_errors=True)

    def _next(self) -> Job | None:
        """The first of the queue, once there is one; None when the service ends."""
        while True:
            for job in self._stale():
                self.drop(job)
            with self._changed:
                if self._closed:
                    return None
                if self._queue:
                    return self._queue.popleft()
                self._changed.wait(_SWEEP_S)

    def _stale(self) -> list[Job]:
        """Finished jobs that have lain too long, or are too many."""
        with self._changed:
            ended = [(job.ended, job) for job in self._jobs.values() if job.ended is not None]
        ended.sort(key=lambda entry: entry[0])
        surplus = len(ended) - self._limits.kept
        oldest = time.monotonic() - self._limits.kept_s
        return [job for number, (end, job) in enumerate(ended) if number < surplus or end < oldest]


def _attempt(work: Callable[[], Answer], job: Job) -> Answer | Refusal:
    """What came of the work; the log says where it failed, not with which words."""
    try:
        return work()
    except Exception as error:
        refusal = explain(error, job.folder)
        if refusal.status >= 500:
            log.error("failed while predicting: %s", where(error))
        return refusal
