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

from delineate.data.reader import Done
from delineate.data.samples import Samples
from delineate.errors import DataError
from delineate.plan.main_memory import MainMemory

module = import_module("delineate.data.readers")


def readers() -> list[int]:
    """The reading processes that are our children."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_text()
        except OSError:  # it has ended meanwhile
            continue
        if parent == os.getpid() and "delineate.data.reader" in command:
            found.append(int(folder.name))
    return sorted(found)


def lives(process: int) -> bool:
    try:
        stat = Path("/proc", str(process), "stat").read_text()
    except OSError:
        return False
    return ") Z " not in stat


def test_killed_readers_are_named_and_the_samples_stay_the_same(
    cache, plan, caplog, batches_of, assert_equal
):
    expected = list(batches_of(cache, plan, start_step=5, steps=12))
    passing = iter(batches_of(cache, plan, start_step=5, steps=12, workers=2))
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


def test_a_reader_killed_before_its_first_batch_is_no_loss(
    cache, plan, caplog, batches_of, assert_equal
):
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
def test_the_end_of_a_reader_is_told(
    cache, plan, caplog, monkeypatch, end, kills, told, batches_of, assert_equal
):
    counts = iter([4, 4 + kills])
    monkeypatch.setattr(module, "count_memory_kills", lambda: next(counts))
    monkeypatch.setattr(module, "_START", f"import os; {end}")
    expected = list(batches_of(cache, plan, steps=2))
    assert_equal(list(batches_of(cache, plan, steps=2, workers=1)), expected)
    assert caplog.records[0].getMessage() == (
        f"A reading process {told} Training goes on from step 0 without readers; the samples stay "
        "the same. Fix: train.workers=0, or a smaller patch or batch."
    )


def test_a_reader_that_cannot_start_says_why(
    cache, plan, caplog, monkeypatch, batches_of, assert_equal
):
    monkeypatch.setattr(
        module, "_START", "import sys; print('no such thing', file=sys.stderr); sys.exit(3)"
    )
    expected = list(batches_of(cache, plan, steps=3))
    assert_equal(list(batches_of(cache, plan, steps=3, workers=2)), expected)
    text = caplog.records[0].getMessage()
    assert text.startswith("A reading process ended (exit code 3)\n  no such thing.")
    assert len(caplog.records) == 2


def test_fewer_readers_than_asked_for_are_told(
    cache, plan, caplog, monkeypatch, batches_of, assert_equal
):
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


def test_out_of_memory_ends_one_reader_and_the_rest_go_on(
    cache, plan, caplog, monkeypatch, batches_of, assert_equal
):
    passing = batches_of(cache, plan, steps=12, workers=1)
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
    assert_equal(list(passing), list(batches_of(cache, plan, steps=12)))
    assert caplog.records[0].getMessage() == (
        "A reading process ran out of memory (case_1: Unable to allocate 4 GB). Shortly before, "
        "3.5 of 4.0 GB of memory were in use, 1.5 GB of them by one reader. Training goes on from "
        "step 3 without readers; the samples stay the same. Fix: train.workers=0, or a smaller "
        "patch or batch."
    )


def test_a_step_is_not_told_again_by_a_reader_that_has_been_closed(cache, plan, batches_of):
    batches = batches_of(cache, plan)
    samples = batches._samples(cache)
    fetched = []

    def fresh():
        fetched.append(len(fetched))
        if fetched == [0]:
            raise MemoryError("no room for the batch")
        return None, {}

    running = module.Readers(samples, 1, fresh)
    try:
        assert running.give(0)
        assert running.give(1)
        end = time.monotonic() + 30
        while len(fetched) < 2 and time.monotonic() < end:
            time.sleep(0.01)
        assert running.wait() == [0, 1]
        # What it has read since is made anew by another.
        assert running.wait() == []
        assert not len(running)
    finally:
        running.close()


def test_a_word_that_cannot_be_understood_is_the_end_of_a_reader_not_of_all(
    cache, plan, caplog, monkeypatch, batches_of, assert_equal
):
    def load(file):
        raise IndexError("list index out of range")

    monkeypatch.setattr(module.pickle, "load", load)
    monkeypatch.setattr(threading, "excepthook", lambda *_: None)
    monkeypatch.setattr(module, "_START", "")
    expected = list(batches_of(cache, plan))
    assert_equal(list(batches_of(cache, plan, workers=1)), expected)
    assert "Training goes on from step 0 without readers" in caplog.text


def test_out_of_memory_in_the_training_itself_names_the_case(cache, plan, monkeypatch, batches_of):
    def fail(*_args):
        raise MemoryError("Unable to allocate 4 GB")

    monkeypatch.setattr(Samples, "_read_sample", fail)
    with pytest.raises(
        DataError,
        match=r"^case_\d: MemoryError: Unable to allocate 4 GB \(while reading a patch for step 0\)"
        r"\. Fix: close other programs, or take a smaller patch or batch\.$",
    ):
        list(batches_of(cache, plan))


def test_a_consumer_that_stops_early_leaves_nothing_behind(cache, plan, batches_of):
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


def test_readers_end_with_a_training_that_is_killed(cache, plan, tmp_path, batches_of):
    pid = os.fork()
    if pid == 0:
        try:
            passing = iter(batches_of(cache, plan, steps=None, workers=1))
            next(passing)
            (tmp_path / "reader").write_text(str(readers()[0]))
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    reader = int((tmp_path / "reader").read_text())
    end = time.monotonic() + 5
    while lives(reader) and time.monotonic() < end:
        time.sleep(0.05)
    assert not lives(reader)


def test_a_signal_to_the_whole_group_is_the_business_of_the_training(
    cache, plan, batches_of, assert_equal
):
    passing = iter(batches_of(cache, plan, steps=12, workers=1))
    found = [next(passing)]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        os.kill(readers()[0], number)
    found += passing
    assert_equal(found, list(batches_of(cache, plan, steps=12)))


def test_readers_start_without_pytorch():
    import subprocess
    import sys

    code = "import sys, delineate.data.reader; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
