"""A picture as a network is shown it, and its values back on the picture's own pixels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spine_slices import LOAD, data, experiment, noise

from delineate.errors import ConfigError
from delineate.systems.spine.prediction.prepared_image import PreparedImage, prepare_image

BOTH = ["data", "label"]
SCALE = {"name": "tv.ToDtype", "params": {"dtype": "float32", "scale": True}}


def disc(shape: tuple[int, int]) -> np.ndarray:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    inside = (rows - 0.4 * shape[0]) ** 2 + (columns - 0.55 * shape[1]) ** 2 < (0.2 * shape[1]) ** 2
    return (inside * 255).astype(np.uint8)


def prepared(tmp_path: Path, picture: np.ndarray, *steps: dict[str, Any]) -> PreparedImage:
    asked = data("segmentation_file", [LOAD, *steps])
    return prepare_image(experiment(tmp_path, asked), picture)


def step(name: str, **params: Any) -> dict[str, Any]:
    return {"name": name, "params": params, "target": BOTH}


def test_without_steps_that_move_values_come_back_as_they_are(tmp_path: Path):
    found = prepared(tmp_path, noise(1, (20, 30, 3)), {"name": "to_gray"}, SCALE)
    assert found.image.shape == (1, 1, 20, 30)
    assert found.image.max() <= 1
    values = np.random.default_rng(0).random((2, 20, 30)).astype(np.float32)
    np.testing.assert_allclose(found.restore(values), values, atol=1e-5)


@pytest.mark.parametrize(
    "steps",
    [
        [step("tv.Resize", size=[64, 64])],
        [step("tv.Resize", size=[150, 130])],
        [step("tv.CenterCrop", size=[90, 80])],
        [step("tv.CenterCrop", size=[140, 60]), step("tv.Resize", size=[70, 60])],
        [step("alb.Resize", height=64, width=72)],
        [step("alb.PadIfNeeded", min_height=160, min_width=160, border_mode=0, value=0)],
        [
            step("alb.LongestMaxSize", max_size=64),
            step("alb.PadIfNeeded", min_height=64, min_width=64),
        ],
        [step("alb.HorizontalFlip", p=1.0), step("alb.Resize", height=50, width=50)],
        [step("alb.Rotate", limit=[30, 30], p=1.0)],
    ],
)
def test_what_lies_in_the_prepared_image_comes_back_to_where_it_was(tmp_path: Path, steps: list):
    if any(s["name"].startswith("alb") for s in steps):
        pytest.importorskip("albumentations", reason="needs delineate[albumentations]")
    picture = disc((100, 90))
    found = prepared(tmp_path, picture, *steps, SCALE)
    back = found.restore(found.image[0].numpy())
    assert back.shape == (1, 100, 90)
    one, other = back[0] > 0.5, picture > 0
    assert 2 * (one & other).sum() / (one.sum() + other.sum()) > 0.97


def test_what_a_crop_never_saw_is_nothing(tmp_path: Path):
    found = prepared(tmp_path, disc((100, 90)), step("tv.CenterCrop", size=[40, 30]))
    back = found.restore(np.ones((1, 40, 30), np.float32))[0]
    assert back.sum() == 40 * 30
    np.testing.assert_array_equal(back[30:70, 30:60], 1)


def test_steps_that_bend_are_refused_and_those_of_training_passed_over(tmp_path: Path):
    pytest.importorskip("albumentations", reason="needs delineate[albumentations]")
    bend = step("alb.GridDistortion", distort_limit=0.9, num_steps=3, p=1.0)
    with pytest.raises(ConfigError, match="bend pictures, so masks cannot be put back"):
        prepared(tmp_path, disc((100, 90)), bend)
    found = prepared(tmp_path, disc((100, 90)), {**bend, "phase": ["train"]})
    np.testing.assert_array_equal(found.image[0, 0], disc((100, 90)))


def test_a_step_of_ones_own_that_resizes_is_undone(tmp_path: Path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "mine.py").write_text(
        "from delineate.systems.spine.schema.bases import BasePreprocess\n"
        "class Halved(BasePreprocess):\n"
        "    def __call__(self, data):\n"
        "        return data[::2, ::2]\n"
    )
    asked = experiment(tmp_path, data("segmentation_file", [LOAD, {"name": "Halved"}]))
    folders = asked.directory.model_copy(update={"model": own})
    found = prepare_image(asked.model_copy(update={"directory": folders}), disc((100, 90)))
    assert found.image.shape == (1, 1, 50, 45)
    back = found.restore(found.image[0].numpy() / 255)[0] > 0.5
    truth = disc((100, 90)) > 0
    assert 2 * (back & truth).sum() / (back.sum() + truth.sum()) > 0.95


def test_steps_on_batches_are_applied_as_in_training(tmp_path: Path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "mine.py").write_text(
        "from delineate.systems.spine.schema.bases import BasePreprocess\n"
        "class Centred(BasePreprocess):\n"
        "    def __call__(self, data):\n"
        "        assert data.ndim == 4\n"
        "        return data - data.mean()\n"
    )
    section = data("segmentation_file", [LOAD, SCALE]).model_dump()
    steps = [step("tv.Normalize", mean=0.5, std=2.0), {"name": "Centred"}]
    asked = experiment(
        tmp_path, data("file").model_validate({**section, "batch_preprocess": steps})
    )
    folders = asked.directory.model_copy(update={"model": own})
    found = prepare_image(asked.model_copy(update={"directory": folders}), noise(1, (20, 30)))
    halves = noise(1, (20, 30)) / 255 / 2
    np.testing.assert_allclose(found.image[0, 0], halves - halves.mean(), atol=1e-6)
