"""Experiments as YAML: what the published schema says loads, what is wrong is told by its line."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from spine_published import DATASET, ROOT

from delineate.errors import ConfigError
from delineate.systems.spine.schema.experiment import read_experiment
from delineate.systems.spine.schema.settings import Experiment

Write = Callable[..., Path]

FOLDERS = {"data": "scans", "log": "out"}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write an experiment, changed in places, where the published ones lie; its path."""

    def written(*changes: tuple[str, str], name: str = "first") -> Path:
        text = ROOT
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "experiment" / "lesion" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        (tmp_path / "dataset").mkdir(exist_ok=True)
        (tmp_path / "dataset" / "cord_s1_1_320.yaml").write_text(DATASET)
        return path

    return written


def refused(path: Path, **said: object) -> str:
    with pytest.raises(ConfigError) as caught:
        read_experiment(path, **{"directories": FOLDERS, **said})  # pyright: ignore[reportArgumentType]
    return str(caught.value)


def test_what_a_published_file_says_arrives(write: Write, monkeypatch: pytest.MonkeyPatch):
    path = write()
    monkeypatch.chdir(path.parent)
    found = read_experiment(path, directories=FOLDERS)
    assert (found.experiment_name, found.seed, found.project_name) == ("first", 420, "cord")
    assert found.directory.data == path.parent / "scans"
    assert found.directory.log == path.parent / "out"
    assert found.trainer.lr.init_value == 1e-3
    assert found.trainer.lr.scheduler is not None
    assert found.trainer.lr.scheduler.params == {"cycle_decay": 0.025}
    assert found.trainer.optimizer.params == {"weight_decay": 1e-4}
    assert found.trainer.precision == "32-true"
    assert found.trainer.loader.pin_memory
    assert found.trainer.callbacks[1].params["class_labels"] == {1: "lesion"}
    assert found.model.params["use_batch_norm"] is True
    assert found.model.params["pretrained"] is None
    assert found.metric[0].label == "iou"
    sampling = found.data.dataset["cord"].pipeline[0]
    assert sampling.params == {"n": 0.01, "target": "phase", "shuffle": True}
    blur = found.data.preprocess[2]
    assert blur.params == {"blur_limit": 3, "p": 0.1}
    assert (blur.target, blur.phase) == (("data",), ("train",))
    assert found.data.preprocess[1].phase == ("train", "val", "test")


def test_an_experiment_survives_being_written_as_plain_values(write: Write):
    found = read_experiment(write(), directories=FOLDERS)
    assert Experiment.model_validate(found.as_plain()) == found


def test_what_a_run_records_is_the_same_experiment(
    write: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    found = read_experiment(write(), directories=FOLDERS)
    record = tmp_path / "config.yaml"
    record.write_text(yaml.safe_dump(found.as_plain(), sort_keys=False))
    assert read_experiment(record) == found
    assert not caplog.records


def test_two_files_are_two_experiments(write: Write):
    first = read_experiment(write(), directories=FOLDERS)
    second = read_experiment(write(("epochs: 200", "epochs: 3"), name="b"), directories=FOLDERS)
    assert (first.trainer.epochs, second.trainer.epochs) == (200, 3)


def test_a_missing_file_of_folders_names_the_way_out(write: Write):
    path = write()
    said = refused(path, directories={})
    assert said.startswith(f"{path}:3: directory: no such file: ")
    assert "--directory data=DIR" in said


def test_a_file_of_folders_counts_from_where_it_lies(write: Write, tmp_path: Path):
    path = write()
    folders = tmp_path / "_directory_ssd.yaml"
    folders.write_text("log: logs\nweights: /w\ndata: data\nmodel: mine\n")
    found = read_experiment(path).directory
    assert (found.log, found.model) == (tmp_path / "logs", tmp_path / "mine")
    assert found.weights == Path("/w")
    other = tmp_path / "other.yaml"
    other.write_text("data: elsewhere\n")
    found = read_experiment(path, directory=other, directories={"log": "/l"}).directory
    assert (found.data, found.log) == (tmp_path / "elsewhere", Path("/l"))


def test_an_include_is_looked_for_above_and_may_include(write: Write, tmp_path: Path):
    path = write(
        ("../../_directory_ssd.yaml", "_here.yaml"), ("../../dataset/cord_s1_1_320", "d/a")
    )
    (tmp_path / "_here.yaml").write_text("data: data\n")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.yaml").write_text("data: b.yaml\n")
    (tmp_path / "d" / "b.yaml").write_text(DATASET)
    assert "cord" in read_experiment(path).data.dataset
    (tmp_path / "d" / "b.yaml").write_text("a.yaml\n")
    assert "include each other without end" in refused(path)


def test_a_data_set_of_the_command_line_replaces_the_section(write: Write, tmp_path: Path):
    path = write()
    other = tmp_path / "dataset" / "other_s2_1_224.yaml"
    other.write_text(DATASET.replace("cord", "other").split("preprocess")[0])
    for said in (other, "other_s2_1_224"):
        found = read_experiment(path, dataset=said, directories=FOLDERS).data
        assert list(found.dataset) == ["other"]
        assert found.preprocess == ()
    assert "Did you mean 'other_s2_1_224'?" in refused(path, dataset="other_s2_1_225")
    assert "no such file" in refused(path, dataset="x.yaml")


def test_callbacks_at_the_top_are_those_of_the_trainer(write: Write):
    path = write(("metric:\n", "callbacks:\n    - name: EarlyStopping\nmetric:\n"))
    names = [entry.name for entry in read_experiment(path, directories=FOLDERS).trainer.callbacks]
    assert names == ["LearningRateMonitor", "SegmentationSampler", "EarlyStopping"]


def test_weights_on_a_drive_of_windows_are_told_and_left_out(
    write: Write, caplog: pytest.LogCaptureFixture
):
    path = write(("pretrained: null", 'pretrained: "D:\\\\weights\\\\a.ckpt"'))
    assert read_experiment(path, directories=FOLDERS).model.params["pretrained"] is None
    assert f"{path}:11: model.pretrained is a path of Windows" in caplog.text


def test_a_misspelt_key_is_refused_and_a_foreign_one_told(
    write: Write, caplog: pytest.LogCaptureFixture
):
    path = write(("epochs: 200", "epoch: 200"))
    assert f"{path}:18: unknown key 'trainer.epoch'. Did you mean 'epochs'?" in refused(path)
    path = write(("epochs: 200", "epochs: 200\n    wandb_tags: [a]\n    limit_val_batches: 2"))
    found = read_experiment(path, directories=FOLDERS)
    assert found.trainer.params == {"limit_val_batches": 2}
    assert f"{path}:19: 'trainer.wandb_tags' has no effect" in caplog.text


def test_all_that_is_wrong_is_told_at_once(write: Write):
    path = write(
        ("epochs: 200", "epochs: many"),
        ("name: DiceLoss", "kind: DiceLoss"),
        ("precision: 32", "precision: 8"),
        ("[train, val]", "[train, valley]"),
    )
    said = refused(path).splitlines()
    assert said[0] == f"{path}:12: missing key 'model.loss.name'. Fix: add it."
    assert said[1] == f"{path}:18: trainer.epochs wants a whole number of at least 1, got 'many'."
    assert said[2].startswith(f"{path}:22: trainer.precision wants 16-mixed, bf16-mixed, ")
    assert said[3].endswith("wants a list of train, val or test, got ['train', 'valley'].")


@pytest.mark.parametrize(
    ("said", "means"),
    [("true", "balanced"), ("false", None), ("[1, 2e0]", (1, 2)), ("{1: 2, 0: 1}", (1, 2))],
)
def test_class_weights_come_in_every_form(write: Write, said: str, means: object):
    path = write(("out_activation: null", f"class_weight: {said}"))
    assert read_experiment(path, directories=FOLDERS).model.class_weight == means


def test_a_file_that_is_no_yaml_or_makes_objects_is_refused(write: Write):
    path = write(("epochs: 200", "epochs: [200"))
    assert str(path) in refused(path)
    path = write(("epochs: 200", "epochs: !!python/object/apply:os.getcwd []"))
    assert f"{path}:18" in refused(path)
    path = write(("epochs: 200", "epochs: &a [*a]"))
    assert "grows without end" in refused(path)
    path = write(("epochs: 200", "epochs: \x01"))
    assert f"{path}:18: not YAML: there is a character that text cannot hold." in refused(path)
    path = write(("epochs: 200", "<<: 200"))
    assert f"{path}:18: not YAML: while constructing a mapping, expected a map" in refused(path)


def test_a_key_that_stands_twice_is_told_and_the_last_one_counts(
    write: Write, caplog: pytest.LogCaptureFixture
):
    path = write(("epochs: 200", "epochs: 200\n    epochs: 100"))
    assert read_experiment(path, directories=FOLDERS).trainer.epochs == 100
    assert "'trainer.epochs' stands twice, first in line 18" in caplog.text


@pytest.fixture(autouse=True)
def _notes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "delineate")
