"""Reading processes that die, run out of memory, or are no longer needed."""

import gc
import logging
import os
import signal
import threading
import time
from importlib import import_module
from itertools import islice
from pathlib import Path

import pytest
import torch

from delineate.data import Batches, Cache, prepare
from delineate.data.reader import Done
from delineate.data.samples import Samples
from delineate.errors import DataError
from delineate.plan.main_memory import MainMemory

module = import_module("delineate.data.readers")


@pytest.fixture
def cache(plan, make_cases, tmp_path) -> Cache:
    return prepare(make_cases(3), plan, tmp_path / "cache")


def batches_of(cache, plan, **changes) -> Batches:
    ids = [c.id for c in cache.cases]
    facts = {"seed": 3, "batch_size": 2, "read_patch": plan.patch, "foreground": 0.5, "steps": 12}
    return Batches(cache, ids, plan, **(facts | changes))


def readers() -> list[int]:
    """The reading processes that are our children."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_text()
        except OSError:
            continue
        if parent == os.getpid() and "delineate.data.reader" in command:
            found.append(int(folder.name))
    return sorted(found)


def assert_equal(found, expected):
    assert [b.step for b in found] == [b.step for b in expected]
    for a, b in zip(found, expected, strict=True):
        assert a.cases == b.cases
        assert torch.equal(a.image, b.image)
        assert torch.equal(a.target.mask, b.target.mask)


def test_killed_readers_are_named_and_the_samples_stay_the_same(cache, plan, caplog):
    expected = list(batches_of(cache, plan, start_step=5))
    passing = iter(batches_of(cache, plan, start_step=5, workers=2))
    found = list(islice(passing, 3))
    first, second = readers()
    with caplog.at_level(logging.WARNING, "delineate"):
        os.kill(first, signal.SIGKILL)
        found += islice(passing, 4)
        assert readers() == [second]
        os.kill(second, signal.SIGKILL)
        found += passing
    assert_equal(found, expected)
    assert not readers()
    one, other = (record.getMessage() for record in caplog.records)
    assert one.startswith("A reading process was killed (SIGKILL), most likely for memory. Shortly")
    assert " GB of memory were in use, " in one
    assert "with 1 of 2 readers; the samples stay the same. Fix: train.workers=1, or a" in one
    assert "without readers; the samples stay the same. Fix: train.workers=0, or a" in other


def test_a_reader_killed_before_its_first_batch_is_no_loss(cache, plan, caplog):
    expected = list(batches_of(cache, plan, steps=3))
    passing = iter(batches_of(cache, plan, steps=3, workers=1))

    def kill(*_):
        for process in readers():
            os.kill(process, signal.SIGKILL)

    signal.signal(signal.SIGALRM, kill)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    assert_equal(list(passing), expected)
    assert "from step 0 without readers" in caplog.text


@pytest.mark.parametrize(
    ("end", "kills", "told"),
    [
        ("os.kill(os.getpid(), 9)", 1, "was killed (SIGKILL), the kernel had no memory left."),
        ("os.kill(os.getpid(), 9)", 0, "was killed (SIGKILL), most likely for memory."),
        ("os.kill(os.getpid(), 11)", 0, "crashed (SIGSEGV)."),
        ("os._exit(7)", 0, "ended (exit code 7)."),
    ],
)
def test_the_end_of_a_reader_is_told(cache, plan, caplog, monkeypatch, end, kills, told):
    counts = iter([4, 4 + kills])
    monkeypatch.setattr(module, "count_memory_kills", lambda: next(counts))
    monkeypatch.setattr(module, "_START", f"import os; {end}")
    expected = list(batches_of(cache, plan, steps=2))
    assert_equal(list(batches_of(cache, plan, steps=2, workers=1)), expected)
    assert caplog.records[0].getMessage() == (
        f"A reading process {told} Training goes on from step 0 without readers; the samples stay "
        "the same. Fix: train.workers=0, or a smaller patch or batch."
    )


def test_a_reader_that_cannot_start_says_why(cache, plan, caplog, monkeypatch):
    monkeypatch.setattr(
        module, "_START", "import sys; print('no such thing', file=sys.stderr); sys.exit(3)"
    )
    expected = list(batches_of(cache, plan, steps=3))
    assert_equal(list(batches_of(cache, plan, steps=3, workers=2)), expected)
    text = caplog.records[0].getMessage()
    assert text.startswith("A reading process ended (exit code 3)\n  no such thing.")
    assert len(caplog.records) == 2


def test_fewer_readers_than_asked_for_are_told(cache, plan, caplog, monkeypatch):
    real, calls = module.subprocess.Popen, []

    def popen(*args, **rest):
        calls.append(args)
        if len(calls) > 1:
            raise OSError(12, "Cannot allocate memory")
        return real(*args, **rest)

    monkeypatch.setattr(module.subprocess, "Popen", popen)
    monkeypatch.setattr(module, "_START", "")
    expected = list(batches_of(cache, plan, steps=3))
    assert_equal(list(batches_of(cache, plan, steps=3, workers=3)), expected)
    assert "Only 1 of 3 reading processes could be started ([Errno 12] Cannot" in caplog.text


def test_out_of_memory_ends_one_reader_and_the_rest_go_on(cache, plan, caplog, monkeypatch):
    passing = batches_of(cache, plan, workers=1)
    real = module.pickle.load
    memory = MainMemory(total=4.0, free=0.5)

    def load(file):
        done = real(file)
        error = MemoryError("case_1: Unable to allocate 4 GB") if done.step == 3 else None
        return Done(
            step=done.step,
            slot=done.slot,
            cases=done.cases,
            error=error,
            peak_gb=1.5,
            memory=memory,
        )

    monkeypatch.setattr(module.pickle, "load", load)
    assert_equal(list(passing), list(batches_of(cache, plan)))
    assert caplog.records[0].getMessage() == (
        "A reading process ran out of memory (case_1: Unable to allocate 4 GB). Shortly before, "
        "3.5 of 4.0 GB of memory were in use, 1.5 GB of them by one reader. Training goes on from "
        "step 3 without readers; the samples stay the same. Fix: train.workers=0, or a smaller "
        "patch or batch."
    )


def test_out_of_memory_in_the_training_itself_names_the_case(cache, plan, monkeypatch):
    def fail(*_args):
        raise MemoryError("Unable to allocate 4 GB")

    monkeypatch.setattr(Samples, "_read_sample", fail)
    with pytest.raises(
        DataError,
        match=r"^case_\d: MemoryError: Unable to allocate 4 GB \(while reading a patch for step 0\)"
        r"\. Fix: close other programs, or take a smaller patch or batch\.$",
    ):
        list(batches_of(cache, plan))


def test_a_consumer_that_stops_early_leaves_nothing_behind(cache, plan):
    gc.collect()
    descriptors, threads = len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
    passing = iter(batches_of(cache, plan, steps=None, workers=2))
    next(passing)
    assert len(readers()) == 2
    del passing
    assert not readers()
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
    assert threading.active_count() == threads


def test_readers_end_with_a_training_that_is_killed(cache, plan, tmp_path):
    pid = os.fork()
    if pid == 0:
        passing = iter(batches_of(cache, plan, steps=None, workers=1))
        next(passing)
        (tmp_path / "reader").write_text(str(readers()[0]))
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    reader = Path("/proc", (tmp_path / "reader").read_text())
    for _ in range(100):
        if not reader.exists() or ") Z " in (reader / "stat").read_text():
            break
        time.sleep(0.05)
    else:
        pytest.fail("the reader lives on")


def test_a_signal_to_the_whole_group_is_the_business_of_the_training(cache, plan):
    passing = iter(batches_of(cache, plan, workers=1))
    found = [next(passing)]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        os.kill(readers()[0], number)
    found += passing
    assert_equal(found, list(batches_of(cache, plan)))


def test_readers_start_without_pytorch():
    import subprocess
    import sys

    code = "import sys, delineate.data.reader; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
