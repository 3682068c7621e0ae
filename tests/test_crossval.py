"""Every fold is trained once, and every case scored once."""

import re
from pathlib import Path
from shutil import rmtree

import pytest

from delineate import crossval
from delineate.config import Config, dump_config, load_config
from delineate.crossval import cross_validate
from delineate.errors import ConfigError
from delineate.groundwork import NoBars
from delineate.inference import KeepLargest, read_postprocessing
from delineate.labels import Labels
from delineate.metrics import Row, Table, read_table, write_table
from delineate.plan import Network, Normalisation, Plan, write_plan
from delineate.run_folder import RunFolder

PLAN = Plan(
    channels=("T1",),
    labels=Labels.from_names({"lesion": 1}),
    spacing=(1.0,) * 3,
    shape=(8,) * 3,
    crop_nonzero=False,
    normalisation=(Normalisation(kind="zscore"),),
    separate_axis=None,
    patch=(8,) * 3,
    batch_size=1,
    network=Network(features=(4,), strides=((1,) * 3,), kernels=((3,) * 3,), convolutions=(1,)),
    memory_gb=1.0,
)


def config(folder: Path, *more: str) -> Config:
    keys = [f"data.root={folder / 'scans'}", f"run_dir={folder / 'run'}", *more]
    return load_config("starter", keys)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """Stands in for the training: each fold scores one case of its own."""
    found: list[Config] = []

    def train(config: Config, *, bars: object) -> None:
        found.append(config)
        run, fold = RunFolder(config.run_dir), config.data.fold
        run.validation.mkdir(parents=True)
        row = Row(case=f"case_{fold}", label="lesion", values={"dice": fold / 10})
        write_table(Table((row,)), run.table)
        label = config.data.root / f"case_{fold}.nii.gz"
        run.write_json("cases.json", {"validation": [{"id": f"case_{fold}", "label": str(label)}]})
        (run.validation / label.name).touch()
        write_plan(PLAN, run.plan)
        run.page.write_text("")
        run.config.write_text(dump_config(config))

    monkeypatch.setattr(crossval, "train", train)
    return found


def test_the_scores_of_all_folds_are_pooled(tmp_path: Path, trained: list[Config]):
    table = cross_validate(config(tmp_path, "data.folds=3"), bars=NoBars())
    assert [c.data.fold for c in trained] == [0, 1, 2]
    assert [c.run_dir.name for c in trained] == ["fold_0", "fold_1", "fold_2"]
    assert table.cases == ("case_0", "case_1", "case_2")
    assert read_table(tmp_path / "run").mean("dice") == pytest.approx(0.1)


def test_post_processing_is_chosen_on_the_cases_of_all_folds(
    tmp_path: Path, trained: list[Config], monkeypatch: pytest.MonkeyPatch
):
    def choose(pairs, labels, *, progress):
        names = [(predicted.name, Path(true).name) for predicted, true in pairs]
        assert names == [(f"case_{fold}.nii.gz",) * 2 for fold in range(3)]
        assert labels == PLAN.labels
        return (KeepLargest(),), ("it helps",)

    monkeypatch.setattr(crossval, "choose_postprocessing", choose)
    cross_validate(config(tmp_path, "data.folds=3"), bars=NoBars())
    assert read_postprocessing(tmp_path / "run" / "postprocessing.json") == (KeepLargest(),)


def test_finished_folds_are_not_trained_again(tmp_path: Path, trained: list[Config]):
    asked = config(tmp_path, "data.folds=nnunet")
    cross_validate(asked, bars=NoBars())
    (tmp_path / "run" / "fold_3" / "report.html").unlink()
    rmtree(tmp_path / "run" / "fold_3" / "validation")
    cross_validate(asked, bars=NoBars())
    assert [c.data.fold for c in trained] == [0, 1, 2, 3, 4, 3]


def test_finished_folds_of_another_configuration_are_not_taken_for_this_one(
    tmp_path: Path, trained: list[Config]
):
    cross_validate(config(tmp_path, "data.folds=2"), bars=NoBars())
    message = (
        f"{tmp_path / 'run' / 'fold_0'}: a finished run of another configuration lies here: "
        "train.seed was 0, is 1. Fix: choose another run_dir."
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        cross_validate(config(tmp_path, "data.folds=2", "train.seed=1"), bars=NoBars())
    assert len(trained) == 2


def test_a_split_that_is_given_cannot_be_crossed(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"data\.folds is null, so there is one split"):
        cross_validate(config(tmp_path, "data.folds=null"), bars=NoBars())
