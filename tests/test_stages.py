"""Stages follow each other, what is finished is kept, and the whole becomes a run folder."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from finished_runs import PATIENTS, finish, read_json, write_scans
from terminal import delineate

from delineate import crossval
from delineate import run as run_module
from delineate import stages as module
from delineate.config import Config, dump_config, load_config
from delineate.errors import ConfigError, DataError
from delineate.groundwork import NoBars
from delineate.io import paths
from delineate.metrics import read_table
from delineate.package import open_model
from delineate.report import hashes, write_report
from delineate.run_folder import RunFolder
from delineate.stages import train

TEXT = """\
data: {root: scans}
run_dir: staged
stages:
  - {name: small, train: {budget: 1 steps}}
  - {name: medium, train: {seed: 1}}
  - {name: large, train: {seed: 2}}
"""


class Trained:
    """Stands in for the training of one run: notes what it was asked for and writes a folder."""

    def __init__(self, make: Callable[..., None]) -> None:
        self.make = make
        self.asked: list[Config] = []
        self.restarts: list[bool] = []
        self.held_out = (2, 3)

    def __call__(
        self, config: Config, *, bars: object, restart: bool, add: Callable[[Any], Any]
    ) -> run_module.Result:
        if config.data.folds == 2:
            self.held_out = (2 * config.data.fold, 2 * config.data.fold + 1)
        self.asked.append(config)
        self.restarts.append(restart)
        run = RunFolder(config.run_dir)
        names = [SimpleNamespace(id=case) for case in held_out_names(self.held_out)]
        add(SimpleNamespace(split=SimpleNamespace(validation=names)))
        self.make(config.run_dir, seed=config.train.seed, held_out=self.held_out)
        run.config.write_text(dump_config(config))
        if (before := config.start.weights) is not None:
            digest = hashes.hash_file(RunFolder(before).weights)
            run.write_json("start.json", {"summary": "all loaded", "sha256": digest})
        return run_module.Result(page=run.page, dice=read_table(run.table).mean("dice"), cases=2)


def held_out_names(numbers: tuple[int, ...]) -> list[str]:
    return [PATIENTS[number] for number in numbers]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., None]:
    """Puts a finished run into a folder; each is made once."""
    home = tmp_path_factory.mktemp("made")
    scans = write_scans(home / "scans", shape=(4, 4, 4))

    def put(folder: Path, *, seed: int = 0, held_out: tuple[int, ...] = (2, 3)) -> None:
        source = home / f"{seed}_{held_out}"
        if not source.exists():
            finish(source, scans, seed=seed, held_out=held_out)
        shutil.copytree(source, folder)

    return put


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[..., None]) -> Trained:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(TEXT)
    found = Trained(make)
    monkeypatch.setattr(module, "train_one", found)
    monkeypatch.setattr(module, "write_report", write_page)
    return found


def write_page(folder: Path) -> Path:
    """In the place of the report, which takes longer."""
    RunFolder(folder).page.write_text("a page")
    return RunFolder(folder).page


def go(*overrides: str, **wishes: Any) -> run_module.Result:
    return train(load_config("a.yaml", overrides), bars=NoBars(), **wishes)


def names(trained: Trained) -> list[str]:
    return [config.run_dir.name for config in trained.asked]


def test_each_stage_begins_with_the_weights_of_the_one_before(trained: Trained):
    go()
    assert names(trained) == ["small", "medium", "large"]
    starts = [config.start.weights for config in trained.asked]
    assert starts == [None, Path("staged/small"), Path("staged/medium")]
    assert {config.data.cache for config in trained.asked} == {Path("cache")}
    assert [config.stages for config in trained.asked] == [()] * 3


@pytest.mark.slow
def test_weights_that_a_stage_names_come_before_those_of_the_stage_before(trained: Trained):
    trained.make(Path("other"))
    go("start.weights=other", "stages.1.start={weights: other}", "stages.2.start={weights: null}")
    assert [config.start.weights for config in trained.asked] == [
        Path("other"),
        Path("other"),
        None,
    ]


@pytest.mark.slow
def test_finished_stages_are_kept_and_the_same_command_does_the_rest(trained: Trained):
    go(stage="small")
    result = go()
    assert names(trained) == ["small", "medium", "large"]
    files = [path for path in Path("staged").rglob("*") if path.name != "stages.json"]
    before = {path: path.stat().st_mtime_ns for path in files if path.is_file()}
    assert go() == result
    assert names(trained) == ["small", "medium", "large"]
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.slow
def test_the_whole_is_the_run_folder_of_the_last_stage(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "write_report", write_report)
    result = go()
    assert result.page == Path("staged/report.html")
    whole, last = (RunFolder(Path(name)) for name in ("staged", "staged/large"))
    assert whole.finished
    assert whole.weights.read_bytes() == last.weights.read_bytes()
    assert whole.weights.samefile(last.weights)
    assert "staged" in whole.page.read_text()
    assert read_table(whole.path).mean("dice") == read_table(last.path).mean("dice")
    model, other = open_model(whole.path), open_model(last.path)
    pairs = zip(model.networks[0].parameters(), other.networks[0].parameters(), strict=True)
    assert all((one == two).all() for one, two in pairs)


@pytest.mark.slow
def test_a_disk_without_second_names_gets_copies(trained: Trained, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise OSError(95, "not supported")

    monkeypatch.setattr(paths.os, "link", refuse)
    go()
    whole, last = (RunFolder(Path(name)) for name in ("staged", "staged/large"))
    assert not whole.weights.samefile(last.weights)
    assert whole.weights.read_bytes() == last.weights.read_bytes()


@pytest.mark.slow
def test_a_last_stage_that_is_trained_again_is_the_whole_again(trained: Trained):
    go()
    module.shutil.rmtree("staged/large")
    go("stages.2.train.seed=7")
    whole, last = (RunFolder(Path(name)) for name in ("staged", "staged/large"))
    assert names(trained)[3:] == ["large"]
    assert whole.weights.read_bytes() == last.weights.read_bytes()
    assert "seed: 7" in whole.config.read_text()


@pytest.mark.slow
def test_the_summary_says_how_far_things_are(trained: Trained):
    go(stage="small")
    entries = read_json(Path("staged/stages.json"))["stages"]
    assert [(e["name"], e["state"]) for e in entries] == [
        ("small", "finished"), ("medium", "waiting"), ("large", "waiting"),
    ]  # fmt: skip
    go()
    small, medium, large = read_json(Path("staged/stages.json"))["stages"]
    assert "start" not in small
    assert small["dice"] == pytest.approx(read_table(Path("staged/small")).mean("dice"))
    assert (small["cases"], small["patch"]) == (2, [16, 16, 16])
    assert (medium["start"], large["start"]) == ("small", "medium")
    assert large["carried"] == {"summary": "all loaded"}


@pytest.mark.slow
def test_a_stage_alone_takes_the_weights_before_it_only_where_they_are_finished(trained: Trained):
    result = go(stage="large")
    assert (trained.asked[0].run_dir, trained.asked[0].start.weights) == (
        Path("staged/large"), None,
    )  # fmt: skip
    assert result.page == Path("staged/large/report.html")
    assert not Path("staged/report.html").exists()
    go(stage="small")
    go(stage="medium")
    assert trained.asked[2].start.weights == Path("staged/small")
    with pytest.raises(ConfigError) as caught:
        go()
    assert str(caught.value) == (
        "staged/large: a finished run of another configuration lies here: start.weights was null, "
        'is "staged/medium". Fix: choose another run_dir.'
    )


@pytest.mark.slow
def test_a_finished_stage_of_another_configuration_is_refused(trained: Trained):
    go()
    with pytest.raises(ConfigError, match=r"^staged/medium: .* train\.seed was 1, is 9"):
        go("stages.1.train.seed=9")
    assert len(trained.asked) == 3


def test_a_stage_that_began_with_other_weights_is_refused(trained: Trained):
    go()
    finish_again = Path("staged/small/checkpoints/best.safetensors")
    finish_again.unlink()
    finish_again.write_bytes(Path("staged/large/checkpoints/best.safetensors").read_bytes())
    with pytest.raises(ConfigError) as caught:
        go()
    assert str(caught.value) == (
        "staged/medium: this stage began with other weights than those in staged/small. "
        "Fix: remove staged/medium to train it again, or choose another run_dir."
    )


def test_a_case_that_taught_an_earlier_stage_is_not_held_out_in_a_later_one(trained: Trained):
    go(stage="small")
    trained.held_out = (1, 2)
    with pytest.raises(DataError) as caught:
        go()
    assert str(caught.value) == (
        "staged/medium: 1 of the cases that are held out here, such as Doe_John_018, taught stage "
        "'small', whose weights are carried over. Fix: bring the data back to what they were, or "
        "begin anew in another run_dir."
    )


@pytest.mark.slow
def test_restart_reaches_the_training(trained: Trained):
    go(restart=True)
    assert trained.restarts == [True] * 3


@pytest.mark.slow
def test_what_a_system_adds_is_added_to_every_stage(trained: Trained):
    lessons = []
    go(add=lambda lesson: lessons.append(lesson))
    assert len(lessons) == 3


def test_a_folder_of_something_else_is_not_touched(trained: Trained):
    Path("staged").mkdir()
    Path("staged/thesis.txt").write_text("years of work")
    with pytest.raises(
        ConfigError, match=r"^staged: the folder is not empty and holds no training"
    ):
        go()
    assert [path.name for path in Path("staged").iterdir()] == ["thesis.txt"]


def test_parts_of_every_stage_are_checked_before_the_first_is_trained(trained: Trained):
    with pytest.raises(ConfigError, match=r"^command line: model\.name: .* has no 'UNett'"):
        go("stages.2.model={name: UNett}")
    assert trained.asked == []


def test_a_configuration_without_stages_is_one_run(trained: Trained):
    config = load_config("a.yaml", ["stages=[]"])

    train(config, bars=NoBars(), restart=True, add=Mock())
    assert trained.asked == [config]
    with pytest.raises(ConfigError, match=r"^--stage a: this configuration declares no stages"):
        train(config, bars=NoBars(), stage="a")


def test_the_path_of_one_run_does_not_pass_stages_over(trained: Trained):
    with pytest.raises(ConfigError, match="declares stages, and this trains one run"):
        run_module.train(load_config("a.yaml"), bars=NoBars())


@pytest.mark.slow
def test_the_command_trains_the_stages(trained: Trained):
    done = delineate("train", "a.yaml", "--stage", "smaller")
    assert (done.code, done.err) == (
        2,
        "--stage smaller: there is none. Did you mean 'small'? There are: small, medium, large.\n",
    )
    done = delineate("train", "a.yaml")
    assert (done.code, done.out) == (
        0, "Mean Dice on 2 held-out cases: 0.4875\nReport: staged/report.html\n",
    )  # fmt: skip
    assert "stage 2 of 3, medium: begins with the weights of staged/small\n" in done.err
    assert "stage 1 of 3, small: begins at random\n" in done.err
    assert "stage 1 of 3, small: finished\n" in delineate("train", "a.yaml").err


@pytest.mark.slow
def test_every_fold_of_a_cross_validation_goes_through_all_stages(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(crossval, "choose_postprocessing", lambda *_, **__: ((), ()))
    done = delineate("crossval", "a.yaml", "data.folds=2", "run_dir=cv")
    assert (done.code, done.out.splitlines()[-1]) == (0, "Table: cv/table.csv")
    assert len(read_table(Path("cv")).cases) == 4
    assert names(trained) == ["small", "medium", "large"] * 2
    assert [config.data.fold for config in trained.asked] == [0] * 3 + [1] * 3
    assert len(open_model(Path("cv")).networks) == 2
    assert delineate("crossval", "a.yaml", "data.folds=2", "run_dir=cv").code == 0
    assert len(trained.asked) == 6
