"""The queue of a service: bounded, one at a time, and nothing left behind."""

import threading
import time
from pathlib import Path

import pytest

from delineate.errors import DataError
from delineate.serve.answer import Answer
from delineate.serve.jobs import Jobs
from delineate.serve.limits import Limits
from delineate.serve.refusal import Refusal


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = Jobs(Limits(waiting=2))
    yield made
    made.close()
    assert list(tmp_path.iterdir()) == []


def done(job, timeout=10):
    return job.outcome.result(timeout)


def held(jobs):
    """A job that runs until the event is set."""
    started, go = threading.Event(), threading.Event()

    def work():
        started.set()
        assert go.wait(10)
        return Answer(facts={"held": True})

    job = jobs.reserve()
    jobs.submit(job, work)
    assert started.wait(10)
    return job, go


def test_jobs_are_done_one_at_a_time_in_their_order(jobs):
    running, order = [], []

    def work(number):
        running.append(number)
        assert len(running) == 1
        time.sleep(0.01)
        running.remove(number)
        order.append(number)
        return Answer()

    first, go = held(jobs)
    others = [jobs.reserve(), jobs.reserve()]
    for number, job in enumerate(others):
        jobs.submit(job, lambda number=number: work(number))
    assert [job.state for job in (first, *others)] == ["running", "waiting", "waiting"]
    assert [jobs.place(job) for job in (first, *others)] == [0, 1, 2]
    go.set()
    assert all(isinstance(done(job), Answer) for job in others)
    assert order == [0, 1]


def test_what_does_not_fit_is_refused_with_the_time_after_which_to_try_again(jobs):
    _, go = held(jobs)
    jobs.reserve(), jobs.reserve()
    with pytest.raises(
        Refusal, match=r"the service is busy: all places \(2\) are taken\."
    ) as caught:
        jobs.reserve()
    assert caught.value.status == 503
    assert int(caught.value.headers()["Retry-After"]) >= 1
    go.set()


def test_a_failure_is_explained_without_the_place_of_the_files(jobs):
    job = jobs.reserve()

    def fail():
        raise DataError(f"{job.folder}/scan/scan0.nii: truncated. Fix: send it again.")

    jobs.submit(job, fail)
    told = done(job)
    assert isinstance(told, Refusal)
    assert (told.status, told.error, told.fix) == (400, "scan0.nii: truncated.", "send it again.")
    assert job.state == "failed"


def test_a_fault_of_ours_is_a_500_and_neither_client_nor_log_reads_its_words(jobs, caplog):
    def fail():
        raise RuntimeError("DOE^JANE has 3 slices")

    job = jobs.reserve()
    jobs.submit(job, fail)
    told = done(job)
    assert isinstance(told, Refusal)
    assert (told.status, told.error) == (500, "the service failed on this scan.")
    assert "failed while predicting: RuntimeError\n" in caplog.text
    assert "DOE" not in caplog.text


def test_memory_that_runs_out_is_a_503_and_the_next_scan_is_predicted(jobs):
    def fail():
        raise MemoryError

    first, second = jobs.reserve(), jobs.reserve()
    jobs.submit(first, fail)
    told = done(first)
    jobs.submit(second, Answer)
    assert isinstance(told, Refusal)
    assert told.status == 503
    assert isinstance(done(second), Answer)


def test_a_job_that_is_dropped_leaves_no_file_behind_even_while_it_runs(jobs):
    running, go = held(jobs)
    waiting = jobs.reserve()
    jobs.submit(waiting, Answer)
    (waiting.folder / "scan").write_bytes(b"patient")
    jobs.drop(waiting)
    assert not waiting.folder.exists()
    jobs.drop(running)
    assert running.folder.exists()
    go.set()
    done(running)
    wait_until(lambda: not running.folder.exists())
    assert sum(jobs.counts().values()) == 0


def test_results_that_lie_too_long_or_are_too_many_go(tmp_path, monkeypatch):
    monkeypatch.setattr("delineate.serve.jobs._SWEEP_S", 0.01)
    for limits in (Limits(kept_s=0.0), Limits(kept=0)):
        jobs = Jobs(limits)
        job = jobs.reserve()
        jobs.submit(job, Answer)
        done(job)
        wait_until(lambda job=job: not job.folder.exists())
        with pytest.raises(Refusal, match="no such job"):
            jobs.find(job.id)
        jobs.close()


def test_a_service_that_ends_takes_everything_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    jobs = Jobs(Limits())
    _, go = held(jobs)
    waiting = jobs.reserve()
    jobs.submit(waiting, Answer)
    threading.Timer(0.05, go.set).start()
    jobs.close()
    assert waiting.outcome.cancelled()
    assert not jobs.alive()
    assert list(Path(tmp_path).iterdir()) == []
    with pytest.raises(Refusal, match="busy"):
        jobs.reserve()


def wait_until(true, seconds=5):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it does not come about"
        time.sleep(0.005)
