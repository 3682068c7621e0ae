import tracemalloc

import numpy as np
import pytest
from PIL import Image

from delineate.engine.clock import Clock
from delineate.engine.panels import GAP, HEIGHT, Panels
from delineate.labels import Class, Labels
from delineate.plan import Network, Plan

RED = (255, 0, 0)
LABELS = Labels(classes=(Class(name="a", id=1, colour=RED),))
LAYERS = Labels(classes=(Class(name="a", id=1, colour=RED),), overlapping=True)


def plan_of(spacing, labels=LABELS):
    return Plan(
        channels=("image",), labels=labels, spacing=spacing, shape=(8,) * len(spacing),
        crop_nonzero=False, normalisation=(), separate_axis=None, patch=(8,) * len(spacing),
        batch_size=1, memory_gb=0.1,
        network=Network(features=(2,), strides=((1, 1),), kernels=((3, 3),), convolutions=(1,)),
    )  # fmt: skip


class Cases:
    """One prepared case."""

    def __init__(self, mask, ramp_axis=0):
        self.mask = mask
        space = mask.shape[-3:] if mask.ndim == 4 else mask.shape
        self.image = np.indices(space)[ramp_axis][None].astype(np.float32)

    def read_image(self, case):
        return self.image

    def read_mask(self, case):
        return self.mask


class Wall:
    """Takes the pictures."""

    def __init__(self):
        self.hung = []

    def log_picture(self, name, path, step):
        self.hung.append((name, path, step))


def panels(cases, plan, folder, *, shown=("one",), wall=None):
    clock = Clock(steps=100, step=40)
    trackers = [] if wall is None else [wall]
    return Panels(cases, plan, shown, folder=folder, trackers=trackers, clock=clock)


def tiles(path):
    """Scan, truth and prediction of a picture with one row."""
    picture = np.asarray(Image.open(path))
    width = (picture.shape[1] - 2 * GAP) // 3
    return [picture[:, i * (width + GAP) :][:, :width] for i in range(3)]


def is_red(tile):
    return (tile == RED).all(-1)


def test_scan_truth_and_prediction_stand_side_by_side_with_outlines_where_the_masks_end(tmp_path):
    mask = np.zeros((8, 8), np.int8)
    mask[2:6, 1:3] = 1
    wall = Wall()
    maker = panels(Cases(mask), plan_of((1.0, 1.0)), tmp_path, wall=wall)
    maker.take("one", np.roll(mask, 4, axis=1))
    maker.observe({"val_dice": 0.0})
    path = tmp_path / "step_00000040.png"
    assert wall.hung == [("panels", path, 40)]
    scan, truth, prediction = tiles(path)
    assert scan.shape == (HEIGHT, HEIGHT, 3)
    assert not is_red(scan).any()
    voxel = HEIGHT // 8
    expected = np.zeros((HEIGHT, HEIGHT), bool)
    expected[2 * voxel : 6 * voxel, voxel : 3 * voxel] = True
    expected[2 * voxel + 2 : 6 * voxel - 2, voxel + 2 : 3 * voxel - 2] = False
    assert (is_red(truth) == expected).all()
    assert (is_red(prediction) == np.roll(expected, 4 * voxel, axis=1)).all()


def test_a_volume_is_cut_where_the_truth_is_largest_and_shown_upright(tmp_path):
    mask = np.zeros((8, 8, 4), np.int8)
    mask[6:, 6:, 2] = 1  # towards the patient's right and front, in RAS+ at the end of both axes
    mask[0, 0, 1] = 1
    maker = panels(Cases(mask), plan_of((1.0, 1.0, 5.0)), tmp_path)
    maker.take("one", mask)
    maker.observe({})
    truth = is_red(tiles(tmp_path / "step_00000040.png")[1])
    rows, columns = np.nonzero(truth)
    assert rows.max() < HEIGHT // 4
    assert columns.max() < HEIGHT // 4


def test_the_coarsest_axis_is_cut_and_voxels_keep_their_proportions(tmp_path):
    mask = np.zeros((4, 8, 16), np.int8)
    mask[1, 2:6, 2:6] = 1
    maker = panels(Cases(mask, ramp_axis=1), plan_of((4.0, 2.0, 1.0)), tmp_path)
    maker.take("one", mask)
    maker.observe({})
    assert tiles(tmp_path / "step_00000040.png")[0].shape == (HEIGHT, HEIGHT, 3)


def test_overlapping_masks_and_ignored_voxels_are_drawn_as_what_they_are(tmp_path):
    layers = np.zeros((1, 8, 8), np.int8)
    layers[0, 2:4, 2:4] = 1
    maker = panels(Cases(layers[0]), plan_of((1.0, 1.0), LAYERS), tmp_path / "layers")
    maker.cache.mask = layers
    maker.take("one", layers)
    maker.observe({})
    assert is_red(tiles(tmp_path / "layers" / "step_00000040.png")[1]).any()
    ignored = np.full((8, 8), -1, np.int8)
    maker = panels(Cases(ignored), plan_of((1.0, 1.0)), tmp_path / "ignored")
    maker.take("one", np.zeros((8, 8), np.int8))
    maker.observe({})
    assert not is_red(tiles(tmp_path / "ignored" / "step_00000040.png")[1]).any()


def test_of_three_hundred_classes_no_layers_of_the_whole_volume_are_made(tmp_path):
    labels = Labels(classes=tuple(Class(name=f"c{i}", id=i) for i in range(1, 301)))
    mask = np.zeros((64, 64, 32), np.int16)
    mask[16:48, 16:48, 3] = 300
    maker = panels(Cases(mask), plan_of((1.0, 1.0, 5.0), labels), tmp_path)
    tracemalloc.start()
    maker.take("one", mask)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert maker._views["one"].place == 3
    assert maker._cuts["one"].sum() == 32 * 32
    assert peak < 300 * mask.size / 4


def test_a_volume_of_layers_is_cut_where_they_are_largest_together(tmp_path):
    labels = Labels(classes=(Class(name="a", id=1), Class(name="b", id=2)), overlapping=True)
    layers = np.zeros((2, 8, 8, 4), np.int8)
    layers[0, :, :, 1] = 1
    layers[:, 2:, :, 3] = 1
    maker = panels(Cases(layers), plan_of((1.0, 1.0, 5.0), labels), tmp_path)
    maker.take("one", layers)
    assert maker._views["one"].place == 3
    assert maker._cuts["one"].shape == (2, 8, 8)


def test_only_the_chosen_cases_are_drawn_a_row_each(tmp_path):
    mask = np.zeros((8, 8), np.int8)
    maker = panels(Cases(mask), plan_of((1.0, 1.0)), tmp_path, shown=("one", "two"))
    for case in ("two", "other", "one"):
        maker.take(case, mask)
    maker.observe({})
    picture = np.asarray(Image.open(tmp_path / "step_00000040.png"))
    assert picture.shape == (2 * HEIGHT + GAP, 3 * HEIGHT + 2 * GAP, 3)


@pytest.mark.parametrize("taken", [[], ["other"]])
def test_a_validation_without_a_chosen_case_makes_no_picture(tmp_path, taken):
    maker = panels(Cases(np.zeros((8, 8), np.int8)), plan_of((1.0, 1.0)), tmp_path)
    for case in taken:
        maker.take(case, np.zeros((8, 8), np.int8))
    maker.observe({})
    assert not list(tmp_path.iterdir())
