"""Files of the origin are read as plain values, and nothing that they name is called."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from delineate.errors import ConfigError
from delineate.systems.stroke.auto_config import create_auto_config
from delineate.systems.stroke.old_yaml import KNOWN, read_config
from delineate.systems.stroke.settings import Settings

HAND_WRITTEN = """
# for a small card
model:
  input_shape: [128, 128, 128, 1]
  base_filters: 16
  depth: 3
  use_attention: yes
  use_deep_supervision: no
training:
  epochs: 50
  batch_size_per_gpu: 1
  learning_rate: 1e-4
  validation_split: 0.2
  patience: 15
  global_batch_size: 2
data:
  data_dir: /data/Atlas_2
  cache_dir: null
  num_workers: 4
  prefetch: 2
"""
OLD_NUMBER = """
data:
  voxel_size: !!python/tuple
  - !!python/object/apply:numpy.core.multiarray.scalar
    - &id001 !!python/object/apply:numpy.dtype
      args: [f4, false, true]
      state: !!python/tuple [3, <, null, null, null, -1, -1, 0]
    - !!binary |
      AACAPw==
  - !!python/object/apply:numpy.core.multiarray.scalar
    - *id001
    - !!binary |
      AAAAQA==
"""


def read(tmp_path: Path, text: str) -> dict[str, Any]:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return read_config(path)


def test_a_file_written_by_hand_is_read_as_its_author_meant(tmp_path: Path, caplog: Any):
    config = read(tmp_path, HAND_WRITTEN)

    assert config["model"]["use_attention"] is True
    assert config["model"]["use_deep_supervision"] is False
    assert config["training"]["learning_rate"] == 1e-4
    assert config["data"]["cache_dir"] is None
    assert not caplog.records


def test_tuples_and_numbers_of_numpy_become_plain(tmp_path: Path):
    assert read(tmp_path, OLD_NUMBER) == {"data": {"voxel_size": [1.0, 2.0]}}


@pytest.mark.parametrize(
    "value",
    [np.float32(0.1), np.float64(1e-4), np.int64(-7), np.uint8(200), np.bool_(True), (1, (2, "a"))],
)
def test_what_python_dumps_comes_back_as_the_same_plain_value(tmp_path: Path, value: Any):
    text = yaml.dump({"meta": {"value": value}})
    assert "!!python" in text

    found = read(tmp_path, text)["meta"]["value"]

    assert found == ([1, [2, "a"]] if isinstance(value, tuple) else value.item())
    assert type(found) in (list, float, int, bool)


def test_numbers_in_the_other_order_of_bytes_are_read(tmp_path: Path):
    swapped = np.array([1.5], ">f8")[0]

    text = OLD_NUMBER.replace("f4", "f8").replace("<", "'>'")
    text = text.replace("AACAPw==", "P/gAAAAAAAA=").replace("AAAAQA==", "QAAAAAAAAAA=")

    assert read(tmp_path, text)["data"]["voxel_size"] == [swapped.item(), 2.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: !!python/object/apply:os.system ['touch {}']", "the tag 'object/apply:os.system'"),
        ("a: !!python/object/new:os.system ['touch {}']", "the tag 'object/new:os.system'"),
        ("a: !!python/name:os.system", "the tag 'name:os.system'"),
        ("a: !!python/module:antigravity", "the tag 'module:antigravity'"),
        ("a: 1\nb: !lab.Thing {{x: 1}}", r"yaml:2: the tag '!lab\.Thing'"),
        (
            "a: !!python/object/apply:numpy.core.multiarray.scalar [1, !!binary AACAPw==]",
            "names what is neither a tuple nor a number",
        ),
        (OLD_NUMBER.replace("AACAPw==", "AACA"), "yaml:4: the tag"),
        (OLD_NUMBER.replace("f4", "O8"), "the tag 'object/apply:numpy.dtype'"),
        ("a: &a [*a]", "found unconstructable recursive node"),
        ("a: 1\na: 2", "yaml:2: 'a' stands twice"),
        ("a: [", "yaml:1: expected the node content"),
        ("- 1", r"wants sections such as model and training, got \[1\]"),
        ("", "wants sections such as model and training, got None"),
        ("a: \x07", "not YAML: unacceptable character"),
    ],
)
def test_what_is_no_plain_value_is_refused_and_not_run(tmp_path: Path, text: str, message: str):
    mark = tmp_path / "ran"
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, text.replace("{}", str(mark)).replace("{{", "{").replace("}}", "}"))
    assert not mark.exists()


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"none\.yaml: no such file"):
        read_config(tmp_path / "none.yaml")


def test_unknown_keys_are_kept_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING, logger="delineate"):
        config = read(tmp_path, "modelx: {a: 1}\ntraining: {epoch: 5}\nmeta: {anything: 1}")

    assert config == {"modelx": {"a": 1}, "training": {"epoch": 5}, "meta": {"anything": 1}}
    (record,) = caplog.records
    assert "kept, but of no known meaning: modelx" in record.getMessage()
    assert "Did you mean 'model'?" in record.getMessage()
    assert "training.epoch Did you mean 'epochs'?" in record.getMessage()
    assert "anything" not in record.getMessage()


def test_what_is_made_for_this_machine_is_all_known(tmp_path: Path, caplog: Any):
    path = tmp_path / "config.yaml"
    config = create_auto_config().generate_complete_config(save_path=path)

    assert read_config(path) == config
    assert not caplog.records


def test_every_key_of_the_settings_is_known():
    for section, keys in KNOWN.items():
        kind = type(getattr(Settings.model_validate({section: {}}), section))
        assert set(kind.model_fields) <= set(keys.split()), section
