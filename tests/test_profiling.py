"""`delineate profile`, on a few small slices."""

import json
from pathlib import Path

import pytest
from terminal import delineate

from delineate.datasets import synthesise
from delineate.engine.step import PARTS


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    folder = tmp_path_factory.mktemp("profiling")
    scans = synthesise("slices", folder / "scans", cases=4, shape=(32, 32), layout="folders")
    run = f"run_dir={folder / 'runs' / 'a'}"
    small = (
        "train.workers=0",
        "data.folds=2",
        "plan.width=4",
        "plan.patch=[32, 32]",
        "plan.batch_size=2",
        "--steps",
        "2",
    )
    return ("profile", "starter", f"data.root={scans}", run, *small)


def test_it_says_where_the_time_goes_and_leaves_no_run(words, tmp_path: Path):
    file, trace = tmp_path / "figures.json", tmp_path / "trace.json"
    done = delineate(*words, "--json", file, "--trace", trace)
    assert done.code == 0, done.err
    head, *lines = done.out.splitlines()
    assert head.split() == ["part", "ms", "%"]
    rows = [line.split() for line in lines[: len(PARTS)]]
    assert tuple(row[0] for row in rows) == PARTS
    assert sum(float(row[2]) for row in rows) == pytest.approx(100, abs=0.5)
    figures = json.loads(file.read_text())
    assert lines[-1] == figures["verdict"]
    assert figures["steps"] == 2
    assert figures["flops"] > 0
    assert figures["memory_gb"] > 0
    assert sum(figures["parts"].values()) == pytest.approx(figures["seconds"])
    run = Path(words[3].partition("=")[2])
    assert [path.name for path in run.parent.iterdir()] == ["cache"]
    events = {event.get("name") for event in json.loads(trace.read_text())["traceEvents"]}
    assert set(PARTS) <= events


@pytest.mark.slow
def test_reading_processes_are_compared_with_none(words, tmp_path: Path):
    file = tmp_path / "figures.json"
    done = delineate(*words, "train.workers=1", "--json", file)
    assert done.code == 0, done.err
    assert "  train.workers=0: " in done.out
    assert "  train.workers=1: " in done.out
    figures = json.loads(file.read_text())
    assert figures["workers"] == 1
    assert {"0", "1"} <= figures["parts_by_workers"].keys()
