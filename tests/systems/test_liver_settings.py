"""The keys of the four steps: documented, checked whenever they are set, read from files."""

import copy
import json
import pickle
from dataclasses import asdict, is_dataclass
from pathlib import Path

import pytest
import yaml

from delineate.errors import ConfigError
from delineate.systems.liver.settings import (
    ModelEvaluationConfig,
    ModelPredictionConfig,
    ModelTrainingConfig,
    PreprocessingConfig,
    plain,
    read_settings,
)

ALL = (ModelTrainingConfig, PreprocessingConfig, ModelPredictionConfig, ModelEvaluationConfig)
DOCUMENTED = {
    ModelTrainingConfig: {
        "model_name": "dformer3d",
        "model_params": {},
        "data_dir": "data_preprocessed",
        "train_batch_size": 1,
        "val_batch_size": 1,
        "num_workers": 4,
        "input_channels": 1,
        "num_classes": 14,
        "target_label": None,
        "max_epochs": 100,
        "gpus": 1,
        "precision": "16-mixed",
        "seed": 42,
        "log_every_n_steps": 10,
        "checkpoint_dir": "checkpoints",
        "monitor_metric": "val_loss",
        "monitor_mode": "min",
        "early_stopping_patience": 30,
        "optimizer": "adam",
        "learning_rate": 1e-4,
        "weight_decay": 1e-5,
        "scheduler": None,
        "scheduler_params": {},
        "log_dir": "logs",
        "project_name": "ct-segmentation",
        "run_name": None,
        "resume_from_checkpoint": None,
        "debug": False,
    },
    PreprocessingConfig: {
        "target_spacing": (1, 1, 1),
        "target_size": (256, 256, 256),
        "intensity_range": (-100, 400),
        "normalize_method": "zscore",
        "apply_augmentation": True,
        "rotation_degrees": 10,
        "translation_range": 10,
        "elastic_deformation": False,
        "train_ratio": 0.7,
        "val_ratio": 0.2,
        "test_ratio": 0.1,
        "num_workers": 4,
        "batch_size": 2,
    },
    ModelPredictionConfig: {
        "checkpoint_path": "checkpoints/last.ckpt",
        "input_dir": "data_preprocessed/test",
        "output_dir": "predictions",
        "batch_size": 1,
        "num_workers": 2,
        "num_classes": 14,
        "gpus": 1,
        "device": "cuda",
        "save_probabilities": False,
        "save_logits": False,
    },
    ModelEvaluationConfig: {
        "pred_dir": "predictions",
        "gt_dir": "data_preprocessed/test",
        "pred_suffix": "_pred.nii.gz",
        "gt_suffix": "_label.nii.gz",
        "subject_ids": None,
        "liver_label": 1,
        "tumor_label": 2,
        "background_label": 0,
        "num_classes": 3,
        "metrics": ("dice", "iou", "bf1", "accuracy"),
        "save_csv": True,
        "csv_path": "evaluation_results.csv",
        "print_summary": True,
    },
}


@pytest.mark.parametrize("cls", ALL)
def test_the_documented_keys_have_their_documented_defaults(cls):
    assert is_dataclass(cls)
    known = asdict(cls())
    assert {key: known[key] for key in DOCUMENTED[cls]} == DOCUMENTED[cls]


@pytest.mark.parametrize("cls", ALL)
def test_plain_values_survive_json_and_copies_are_equal(cls):
    config = cls()
    assert cls(**json.loads(json.dumps(plain(config)))) == config
    assert copy.deepcopy(config) == config
    assert pickle.loads(pickle.dumps(config)) == config


def test_every_mistake_of_a_construction_is_told_at_once():
    with pytest.raises(ConfigError) as told:
        ModelTrainingConfig(optimiser="adam", max_epochs=0, optimizer="AdamW")
    lines = str(told.value).splitlines()
    assert "unknown key 'optimiser'. Did you mean 'optimizer'?" in lines[0]
    assert "max_epochs wants a whole number of at least 1, got 0." in lines[1]
    assert "optimizer wants adam, adamw or sgd, got 'AdamW'. Did you mean 'adamw'?" in lines[2]


def test_a_value_is_checked_when_it_is_set_later():
    config = ModelTrainingConfig()
    config.target_label = 2
    config.precision = "16-mixed"
    config.gpus = 4
    config.debug = True
    assert (config.target_label, config.gpus, config.debug) == (2, 4, True)
    with pytest.raises(ConfigError, match="target_label wants a whole number of at least 1"):
        config.target_label = 0
    with pytest.raises(ConfigError, match=r"unknown key 'target_lable'. Did you mean 'target_la"):
        config.target_lable = 1  # pyright: ignore[reportAttributeAccessIssue]
    assert config.target_label == 2


@pytest.mark.parametrize(
    ("cls", "keys", "message"),
    [
        (ModelTrainingConfig, {"target_label": 14}, "target_label is 14 but the classes are 0 to"),
        (ModelTrainingConfig, {"num_classes": 1}, "num_classes is 1"),
        (ModelTrainingConfig, {"class_weights": (1, 2)}, "class_weights are 2 but num_classes is"),
        (ModelTrainingConfig, {"class_names": ("a",)}, "class_names are 1 but"),
        (ModelTrainingConfig, {"scheduler_params": {"gamma": 0.5}}, "are for a scheduler"),
        (ModelTrainingConfig, {"optimizer_params": {"lr": 1.0}}, "lr is learning_rate here"),
        (PreprocessingConfig, {"train_ratio": 0.8}, "sum to 1.1"),
        (PreprocessingConfig, {"intensity_range": (1, 1)}, "the lower number first"),
        (PreprocessingConfig, {"target_spacing": (1, 1)}, "three numbers above 0"),
        (ModelPredictionConfig, {"device": "gpu"}, "device wants auto, cpu, cuda or cuda:NUMBER"),
        (ModelEvaluationConfig, {"metrics": ("dize",)}, "metrics wants"),
        (ModelEvaluationConfig, {"tumor_label": 1}, "not three different numbers"),
    ],
)
def test_what_does_not_go_together_is_told(cls, keys, message):
    with pytest.raises(ConfigError, match=message):
        cls(**keys)


def test_a_network_of_two_outputs_may_segment_any_label():
    assert ModelTrainingConfig(num_classes=2, target_label=5).target_label == 5


@pytest.mark.parametrize(
    ("old", "new"), [(16, "16-mixed"), ("bf16", "bf16-mixed"), (32, "32-true")]
)
def test_the_precision_of_old_runs_is_understood(old, new):
    assert ModelTrainingConfig(precision=old).precision == new


def test_the_command_line_goes_over_the_file_goes_over_the_defaults(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"max_epochs": 7, "learning_rate": 1e-3}))
    config = read_settings(ModelTrainingConfig, path, max_epochs=3, gpus=None)
    assert (config.max_epochs, config.learning_rate, config.gpus) == (3, 1e-3, 1)


def test_a_mistake_in_a_file_is_told_with_its_line(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{\n\t"max_epochs": 3,\n\t"lerning_rate": 1e-4\n}')
    with pytest.raises(ConfigError) as told:
        read_settings(ModelTrainingConfig, path, gpus=-1)
    first, second = str(told.value).splitlines()
    assert first == f"{path}:3: unknown key 'lerning_rate'. Did you mean 'learning_rate'?"
    assert second == "gpus wants a whole number of at least 0, got -1."


def test_values_of_a_file_that_do_not_go_together_name_it(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"num_classes": 3, "target_label": 3}')
    with pytest.raises(ConfigError, match=r"config.json: .*target_label is 3"):
        read_settings(ModelTrainingConfig, path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("config.py", "", "not read from code"),
        ("config.json", "[1, 2]", "wants keys and values"),
        ("config.json", '{"seed": }', "config.json:1"),
    ],
)
def test_what_is_no_file_of_keys_is_told(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_settings(ModelTrainingConfig, path)
    with pytest.raises(ConfigError, match="no such file"):
        read_settings(ModelTrainingConfig, tmp_path / "none.json")


OLD_RUN = """
config: !!python/object:configs.model_training_config.ModelTrainingConfig
  precision: 16
  learning_rate: 1.0e-05
  model_params: {}
  target_label: null
  sizes: !!python/tuple [1, 2]
  loss_class: !!python/name:model_training.losses.SegmentationCrossEntropyLoss ''
"""


@pytest.mark.parametrize("nested", [True, False])
def test_the_record_of_an_old_run_is_read_without_making_its_objects(tmp_path, caplog, nested):
    path = tmp_path / "hparams.yaml"
    lines = OLD_RUN.strip().splitlines()
    path.write_text("\n".join(lines if nested else (line.strip() for line in lines[1:])))
    config = read_settings(ModelTrainingConfig, path)
    assert (config.precision, config.learning_rate) == ("16-mixed", 1e-5)
    assert "left out, no keys of ModelTrainingConfig: sizes, loss_class" in caplog.text


def test_a_record_comes_back_as_it_was_written(tmp_path):
    config = ModelTrainingConfig(
        num_classes=3,
        patch_size=(8, 8, 8),
        class_names=("liver", "tumor"),
        class_weights=(1, 2.5, 3),
        model_params={"depths": [2, 2]},
    )
    path = tmp_path / "hparams.yaml"
    path.write_text(yaml.dump({"config": plain(config)}))
    assert read_settings(ModelTrainingConfig, path) == config


def test_paths_are_kept_as_text():
    config = ModelTrainingConfig(data_dir=Path("somewhere"), log_dir="~/logs")
    assert config.data_dir == "somewhere"
    assert config.log_dir == str(Path.home() / "logs")
