"""Which folder a training goes into when others have been there before it."""

from pathlib import Path

import pytest

from delineate.config import Config, dump_config
from delineate.run_folder import RunFolder, first_free


def asked(run: Path, seed: int = 0) -> Config:
    return Config.model_validate(
        {"data": {"root": "scans"}, "run_dir": str(run), "train": {"seed": seed}}
    )


def begin(run: RunFolder, seed: int = 0) -> None:
    """As a training leaves it that was stopped."""
    run.states.mkdir(parents=True)
    (run.states / "state-1.safetensors").touch()
    run.config.write_text(dump_config(asked(run.path, seed)))


def finish(run: RunFolder) -> None:
    run.validation.mkdir(parents=True)
    for file in (run.page, run.table):
        file.touch()


def chosen(first: Path) -> str:
    return first_free(first, asked).run_dir.name


def test_the_first_folder_that_is_not_finished_nor_another_runs_is_taken(tmp_path: Path):
    first, second, third = (RunFolder(tmp_path / name) for name in ("run", "run_2", "run_3"))
    assert chosen(first.path) == "run"
    begin(first)
    assert chosen(first.path) == "run"
    finish(first)
    assert chosen(first.path) == "run_2"
    begin(second, seed=1)
    assert chosen(first.path) == "run_3"
    begin(third)
    assert chosen(first.path) == "run_3"


@pytest.mark.parametrize(("seed", "another"), [(0, False), (1, True)])
def test_a_run_is_another_when_its_weights_would_be_others(
    tmp_path: Path, seed: int, another: bool
):
    run = RunFolder(tmp_path / "run")
    begin(run, seed)
    assert run.is_another(asked(run.path)) == another


def test_what_counts_as_taken_can_be_said(tmp_path: Path):
    found = first_free(tmp_path / "a", asked, lambda config: config.run_dir.name != "a_4")
    assert found.run_dir == tmp_path / "a_4"
