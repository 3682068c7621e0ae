"""Every step of a YAML file, against a closed form, Pillow, or the library called directly."""

import logging
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from spine_slices import noise, picture, step

from delineate.errors import ConfigError, DataError
from delineate.systems.spine.samples.steps import Setting, build_steps
from delineate.systems.spine.slices.rows import Slice
from delineate.systems.spine.slices.sample import Sample, Work

pytest.importorskip("albumentations", reason="needs delineate[albumentations]")

BOTH = ("data", "label")


def built(name: str, *, task: str = "segmentation", phase: str = "train", **how: Any) -> Work:
    """One step, as `batch_preprocess` has it, where no step need load the masks."""
    folders = how.pop("folders", ())
    setting = Setting(phase=phase, task=task, classes=("a", "b", "c"), folders=folders)  # type: ignore[arg-type]
    (work,) = build_steps([step(name, **how)], setting, where="data.batch_preprocess")
    return work


def sample(image: np.ndarray, label: Any = None, item: Slice | None = None) -> Sample:
    return Sample(image=image, label=label, item=item, size=image.shape[:2])


def run(work: Work, given: Sample, seed: int = 0) -> Sample:
    random.seed(seed)
    return work.apply(given, np.random.default_rng(seed))


def blob(shape: tuple[int, int] = (40, 36)) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    mask[10:30, 12:24] = 1
    return mask


APPENDIX = {
    "Blur": {"blur_limit": 3},
    "CoarseDropout": {
        "max_holes": 4, "max_height": 12, "max_width": 12, "min_holes": 1, "min_height": 8,
        "min_width": 8, "fill_value": 0,
    },
    "ElasticTransform": {"alpha": 30, "sigma": 4},
    "GaussNoise": {"var_limit": [10, 50], "mean": 0, "per_channel": True},
    "GridDistortion": {"num_steps": 5, "distort_limit": 0.3},
    "HorizontalFlip": {},
    "MultiplicativeNoise": {"multiplier": [0.85, 1.15]},
    "OpticalDistortion": {"distort_limit": 0.1, "shift_limit": 0.05},
    "RandomBrightnessContrast": {"brightness_limit": 0.2, "brightness_by_max": True},
    "RandomCrop": {"height": 30, "width": 28},
    "RandomGamma": {"gamma_limit": [70, 150]},
    "Resize": {"height": 20, "width": 24},
    "Rotate": {"limit": 20, "interpolation": 1, "border_mode": 4},
    "ShiftScaleRotate": {
        "shift_limit": 0.0625, "scale_limit": 0.1, "rotate_limit": 15, "border_mode": 4,
    },
    "ToFloat": {"max_value": 255},
}  # fmt: skip


@pytest.mark.parametrize("name", APPENDIX)
def test_albumentations_does_to_picture_and_mask_what_it_does_alone(name: str):
    import albumentations

    image, mask = noise(3, (40, 36)), blob()
    params = {**APPENDIX[name], "p": 1.0}
    found = run(built(f"alb.{name}", target=BOTH, **params), sample(image, mask), seed=7)
    random.seed(7)
    expected = getattr(albumentations, name)(**params)(image=image, mask=mask)
    np.testing.assert_array_equal(found.image, expected["image"])
    np.testing.assert_array_equal(found.label, expected["mask"])
    assert set(np.unique(found.label)) <= {0, 1}


def test_picture_and_mask_move_together_or_only_what_is_the_target():
    mask = blob()
    pair = sample(mask * 200, mask)
    turn = {"limit": 40, "interpolation": 0, "border_mode": 0, "p": 1.0}
    for seed in range(3):
        moved = run(built("alb.Rotate", target=BOTH, **turn), pair, seed)
        assert (moved.label != mask).any()
        np.testing.assert_array_equal(moved.image > 0, moved.label > 0)
    alone = run(built("alb.Rotate", target=["data"], **turn), pair)
    assert alone.label is mask
    assert (alone.image != pair.image).any()
    label = run(built("alb.Rotate", target=["label"], **turn), pair)
    assert label.image is pair.image
    assert (label.label != mask).any()


def test_a_crop_now_and_then_has_its_size_back_from_a_resize():
    works = [
        built("alb.RandomCrop", target=BOTH, height=30, width=28, p=0.5),
        built("alb.Resize", target=BOTH, height=40, width=36),
    ]
    sizes = set()
    for seed in range(8):
        between = run(works[0], sample(noise(1, (40, 36)), blob()), seed)
        sizes.add(between.image.shape)
        after = run(works[1], between, seed)
        assert after.image.shape == after.label.shape == (40, 36)
    assert sizes == {(40, 36), (30, 28)}


@pytest.mark.parametrize(
    ("name", "later", "own"),
    [
        (
            "CoarseDropout",
            {"num_holes_range": [1, 4], "hole_height_range": [8, 12], "hole_width_range": [8, 12]},
            {"min_holes": 1, "max_holes": 4, "min_height": 8, "max_height": 12, "min_width": 8,
             "max_width": 12},
        ),
        ("RandomResizedCrop", {"size": [20, 22]}, {"height": 20, "width": 22}),
        ("GaussNoise", {"std_range": [0.1, 0.2]}, {"var_limit": [25.5**2, 51.0**2]}),
        ("Rotate", {"fill": 9, "border_mode": 0}, {"value": 9, "border_mode": 0}),
    ],
)  # fmt: skip
def test_names_of_later_versions_mean_the_same(name: str, later: dict, own: dict):
    pair = sample(noise(1, (40, 36)), blob())
    one, other = (
        run(built(f"alb.{name}", target=BOTH, p=1.0, **params), pair, 5) for params in (later, own)
    )
    np.testing.assert_array_equal(one.image, other.image)


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        ("alb.Resise", {}, r"has no 'Resise'\. Did you mean 'Resize'"),
        ("alb.Resize", {"heihgt": 3, "width": 3}, r"unknown argument 'heihgt'\. .*'height'"),
        ("alb.GaussNoise", {"var_limit": "x"}, r"alb\.GaussNoise refuses its arguments"),
        ("tv.Resise", {}, r"tv\. 'Resise' is unknown\. Did you mean 'Resize'"),
        ("tv.ToDtype", {"dtype": "float31"}, r"dtype 'float31' is unknown.*float32"),
        ("to_grey", {}, r"'to_grey' is unknown\. Did you mean 'to_gray'.*lesion_aug.*tv\.Resize"),
        ("to_gray", {"x": 1}, r"unknown argument 'x'"),
        ("lesion_aug", {"min_lesions": 3, "max_lesions": 2}, "lesions from 3 to 2"),
        ("custom_bias_field", {"p": 2}, "wants an order from 1 and a probability"),
        ("label_encoding", {}, r"wants classes, but the slices have masks"),
    ],
)
def test_a_step_that_cannot_be_is_refused_with_what_can(name: str, params: dict, said: str):
    with pytest.raises(ConfigError, match=f"(?s)data.batch_preprocess.0.*{said}"):
        built(name, **params)


def test_what_albumentations_cannot_do_names_the_step_and_the_file():
    item = Slice(id="i", input_path="x.png", label=None, phase="train", dataset="a", group="g")
    work = built("alb.RandomCrop", target=BOTH, height=99, width=9, p=1.0)
    with pytest.raises(DataError, match=r"alb\.RandomCrop: cannot be done to x\.png \(12x10 uint8"):
        run(work, sample(noise(1), item=item))


def test_classes_become_numbers_and_one_hot_vectors_over_all_sources():
    works = [built(n, task="classification") for n in ("label_encoding", "one_hot_encoding")]
    encoded = run(works[0], sample(noise(1), "b"))
    assert encoded.label == 1
    np.testing.assert_array_equal(run(works[1], encoded).label, [0, 1, 0])
    np.testing.assert_array_equal(run(works[1], sample(noise(1), "c")).label, [0, 0, 1])
    back = built("argmax", task="classification", target=["label"])
    assert run(back, run(works[1], encoded)).label == 1


def test_grey_is_that_of_pillow():
    colour = noise(1, (9, 8, 3))
    found = run(built("to_gray"), sample(colour)).image
    np.testing.assert_array_equal(found, np.asarray(Image.fromarray(colour).convert("L")))
    assert run(built("to_gray"), sample(found)).image is found
    share = run(built("to_gray"), sample(colour.astype(np.float32) / 255)).image
    np.testing.assert_allclose(share * 255, found, atol=0.51)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_mask_is_one_wherever_it_is_above_zero(tmp_path: Path, suffix: str):
    drawn = blob() * np.uint8(255 if suffix == "jpg" else 3)
    image = picture(tmp_path / "i.png", noise(1, (40, 36)))
    label = picture(tmp_path / f"m.{suffix}", drawn)
    item = Slice(
        id="i", input_path=str(image), label=str(label), phase="train", dataset="a", group="g"
    )
    found = run(built("load_segmentation_label"), sample(noise(1, (40, 36)), str(label), item))
    assert found.label.dtype == np.uint8
    np.testing.assert_array_equal(found.label, blob())
    with pytest.raises(DataError, match=r"m\.\w+: is 40x36 but .*i\.png is 12x10"):
        run(built("load_segmentation_label"), sample(noise(1), str(label), item))


def test_activations_are_those_of_their_formulas():
    values = np.random.default_rng(0).normal(size=(4, 5, 3)).astype(np.float32) * 9
    given = sample(values)
    powers = np.exp(values.astype(np.float64))
    for name, expected in {
        "softmax": powers / powers.sum(-1, keepdims=True),
        "sigmoid": 1 / (1 + np.exp(-values.astype(np.float64))),
        "argmax": values.argmax(-1),
    }.items():
        found = run(built(name, target=["data"]), given).image
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_torchvision_types_are_scaled_and_masks_are_not():
    image, mask = noise(1, (40, 36)), blob()
    work = built("tv.ToDtype", target=BOTH, dtype="float32", scale=True)
    found = run(work, sample(image, mask))
    assert found.image.dtype == np.float32
    np.testing.assert_array_equal(found.image, image.astype(np.float32) / np.float32(255))
    assert found.label is mask
    plain = run(built("tv.ToDtype", dtype="float32"), sample(image))
    np.testing.assert_array_equal(plain.image, image)
    back = run(built("tv.ToDtype", dtype="uint8", scale=True), found)
    np.testing.assert_array_equal(back.image, image)


def test_torchvision_resizes_as_pillow_does_within_a_grey_value():
    image = np.asarray(
        Image.fromarray(noise(1, (10, 12))).resize((48, 40), Image.Resampling.BICUBIC)
    )
    for size, shape in (([20, 30], (20, 30)), (20, (20, 24)), ([20], (20, 24))):
        found = run(built("tv.Resize", target=BOTH, size=size), sample(image, blob((40, 48))))
        assert found.image.shape == found.label.shape == shape
        pillow = Image.fromarray(image).resize(shape[::-1], Image.Resampling.BILINEAR)
        np.testing.assert_allclose(found.image.astype(int), np.asarray(pillow).astype(int), atol=1)
        assert set(np.unique(found.label)) <= {0, 1}
    colour = noise(2, (40, 48, 3))
    assert run(built("tv.Resize", size=[8, 9]), sample(colour)).image.shape == (8, 9, 3)


def test_the_other_torchvision_steps_follow_their_formulas():
    colour, mask = noise(1, (40, 36, 3)), blob()
    grey = run(built("tv.Grayscale", num_output_channels=1), sample(colour)).image
    luma = colour.astype(np.float64) @ [0.2989, 0.587, 0.114]
    assert np.abs(grey - np.floor(luma)).max() <= 1
    three = run(built("tv.Grayscale", num_output_channels=3), sample(grey)).image
    np.testing.assert_array_equal(three, np.stack([grey] * 3, -1))
    flat = run(built("tv.Normalize", mean=[10.0], std=[2.0]), sample(grey)).image
    np.testing.assert_allclose(flat, (grey.astype(float) - 10) / 2, rtol=1e-6)
    for name, axis in (("RandomHorizontalFlip", 1), ("RandomVerticalFlip", 0)):
        flipped = run(built(f"tv.{name}", target=BOTH, p=1.0), sample(grey, mask))
        np.testing.assert_array_equal(flipped.image, np.flip(grey, axis))
        np.testing.assert_array_equal(flipped.label, np.flip(mask, axis))
    middle = run(built("tv.CenterCrop", target=BOTH, size=[20, 48]), sample(grey, mask))
    np.testing.assert_array_equal(middle.image[:, 6:42], grey[10:30])
    assert not middle.image[:, :6].any()
    assert middle.label.shape == (20, 48)
    assert run(built("tv.ToImage"), sample(grey)).channels_first


def test_lesions_lie_in_the_cord_are_the_new_mask_and_are_brighter():
    cord = np.zeros((60, 60), np.uint8)
    cord[5:55, 25:35] = 1
    image = np.where(cord, 80, 30).astype(np.uint8)
    work = built("lesion_aug", target=BOTH, min_lesions=1, max_lesions=3, min_size=5, max_size=9)
    sizes = []
    for seed in range(20):
        found = run(work, sample(image, cord), seed)
        lesion = found.label
        assert lesion.dtype == np.uint8
        assert lesion.any()
        assert not (lesion & ~cord & 1).any()
        np.testing.assert_array_equal(found.image[cord == 0], 30)
        assert found.image.max() <= 255
        # The texture is 0.75 at the darkest, the level 1.25 of the median at the least.
        assert 80 * 1.25 * 0.75 <= found.image[lesion > 0].mean() <= 250
        sizes.append(int(lesion.sum()))
    assert len(set(sizes)) > 10
    again = run(work, sample(image, cord), 3)
    np.testing.assert_array_equal(again.image, run(work, sample(image, cord), 3).image)


def test_lesions_of_a_bright_cord_stay_below_two_hundred_times_the_texture():
    cord = np.ones((40, 40), np.uint8)
    image = np.full((40, 40), 180, np.uint8)
    for kind, most in ((image, 255), (image.astype(np.float32) / 255, 1.0)):
        found = run(built("lesion_aug", target=BOTH), sample(kind, cord)).image
        assert found.dtype == kind.dtype
        assert found.max() <= 200 / 255 * 1.25 * most + 1e-3


def test_an_empty_cord_gets_no_lesion_and_colour_gets_one_in_every_channel():
    empty = np.zeros((40, 36), np.uint8)
    given = sample(noise(1, (40, 36)), empty)
    found = run(built("lesion_aug", target=BOTH), given)
    assert found.image is given.image
    assert not found.label.any()
    grey = np.full((40, 36, 3), 60, np.uint8)
    found = run(built("lesion_aug", target=BOTH), sample(grey, blob()))
    np.testing.assert_array_equal(found.image[..., 0], found.image[..., 2])
    assert (found.image != grey).any()


def test_lesions_are_drawn_in_evaluation_only_where_it_is_said(caplog):
    given = sample(noise(1, (40, 36)), blob())
    with caplog.at_level(logging.WARNING, "delineate"):
        plain = built("lesion_aug", phase="val", target=BOTH)
    assert "lesion_aug draws no lesions in val" in caplog.text
    assert run(plain, given).label is given.label
    asked = built("lesion_aug", phase="val", target=BOTH, evaluation=True, min_size=1, max_size=5)
    assert (run(asked, given).label != given.label).any()


@pytest.mark.parametrize("shape", [(50, 40), (50, 40, 3)])
def test_shading_is_smooth_along_rows_and_columns_and_between_its_bounds(shape: tuple[int, ...]):
    image = np.full(shape, 100, np.float32)
    work = built("custom_bias_field", coefficient_range=[0.3, 0.7], order=3, p=1.0)
    field = run(work, sample(image)).image / 100
    assert field.min() == pytest.approx(0.8)
    assert field.max() == pytest.approx(1.2)
    flat = field if field.ndim == 2 else field[..., 0]
    if field.ndim == 3:
        np.testing.assert_array_equal(field[..., 0], field[..., 2])
    # Positive coefficients: brightest where row and column are greatest.
    assert np.unravel_index(flat.argmax(), flat.shape) == (49, 39)
    assert np.abs(np.diff(flat, axis=0)).max() < 0.05
    assert np.abs(np.diff(flat, axis=1)).max() < 0.05
    bright = run(work, sample(np.full(shape, 250, np.uint8))).image
    assert bright.dtype == np.uint8
    assert bright.max() == 255
    never = built("custom_bias_field", p=0.0)
    assert run(never, sample(image)).image is image


OWN = """
import numpy as np
from delineate.systems.spine.schema.bases import BasePreprocess


class Brighter(BasePreprocess):
    def __init__(self, by=1):
        super().__init__()
        self.by = by

    def __call__(self, data):
        assert data.ndim == 3
        return data + self.by


class Turned(BasePreprocess):
    def __call__(self, data):
        axis = 1 if isinstance(data, np.ndarray) else 2
        return np.roll(data, np.random.randint(1, 9), axis) if axis == 1 else data.flip(2)
"""


def test_steps_of_ones_own_are_found_by_class_and_called_with_channels(tmp_path: Path):
    (tmp_path / "mine.py").write_text(OWN)
    image, mask = noise(1, (40, 36)) // 2, blob()
    found = run(built("Brighter", target=["data"], by=3, folders=(tmp_path,)), sample(image, mask))
    np.testing.assert_array_equal(found.image, image + 3)
    assert found.label is mask
    both = run(built("Turned", target=BOTH, folders=(tmp_path,)), sample(mask * 9, mask))
    np.testing.assert_array_equal(both.image > 0, both.label > 0)
    assert (both.label != mask).any()
    tensors = run(built("tv.ToImage"), sample(mask * 9, mask))
    flipped = run(built("Turned", target=BOTH, folders=(tmp_path,)), tensors)
    np.testing.assert_array_equal(flipped.label, mask[:, ::-1])
    with pytest.raises(ConfigError, match="unknown argument 'bye'"):
        built("Brighter", bye=3, folders=(tmp_path,))


@pytest.mark.parametrize(
    ("name", "how", "said"),
    [
        ("alb.HorizontalFlip", {"target": ["data"]}, "moves the picture but not its mask"),
        ("alb.Blur", {"target": ["data"], "phase": "val"}, "alb.Blur is drawn in val too"),
        ("alb.CoarseDropout", {"target": ["data"]}, ""),
        ("alb.Resize", {"target": BOTH, "height": 4, "width": 4, "phase": "val"}, ""),
    ],
)
def test_what_is_hardly_meant_is_warned_of(name: str, how: dict, said: str, caplog):
    with caplog.at_level(logging.WARNING, "delineate"):
        built(name, **how)
    assert said in caplog.text if said else not caplog.text


def test_masks_that_no_step_reads_are_refused():
    setting = Setting(phase="val", task="segmentation")
    load = step("load_segmentation_label", phase=["train"])
    with pytest.raises(ConfigError, match=r"data\.preprocess: no step reads the masks in val"):
        build_steps([load], setting)
    assert build_steps([step("load_segmentation_label")], setting)
