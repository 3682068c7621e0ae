import json

import numpy as np
import pytest
from scipy import ndimage

from delineate.errors import DataError
from delineate.inference import (
    FillHoles,
    KeepLargest,
    RemoveSmall,
    apply_steps,
    steps_from_json,
    steps_to_json,
)
from delineate.labels import Class, Labels

ORGANS = Labels(
    classes=(
        Class(name="abdomen"),
        Class(name="liver", id=5, parent="abdomen"),
        Class(name="tumour", id=7, parent="liver"),
        Class(name="spleen", id=2, parent="abdomen"),
    )
)
NESTED = Labels(
    classes=(Class(name="whole", id=1), Class(name="core", id=2, parent="whole")), overlapping=True
)
MM = (1.0, 1.0, 2.0)


def volume():
    """A liver with a tumour in it, a far piece of liver, a spleen that touches the liver."""
    mask = np.zeros((20, 16, 10), np.uint8)
    mask[2:8, 2:8, 2:8] = 5
    mask[4:6, 4:6, 4:6] = 7
    mask[15:17, 12:14, 1:3] = 5
    mask[8:11, 2:8, 2:8] = 2
    return mask


def after(mask, *steps, labels=ORGANS):
    return apply_steps(mask.copy(), steps, labels, MM)


def test_of_one_class_only_the_largest_component_stays():
    mask = volume()
    found = after(mask, KeepLargest(label="liver"))
    assert not found[15:17, 12:14, 1:3].any()
    mask[15:17, 12:14, 1:3] = 0
    np.testing.assert_array_equal(found, mask)


def test_of_all_structures_together_the_largest_component_stays():
    mask = volume()
    mask[8:11, 2:8, 2:8] = 0
    mask[12:19, 1:15, 5:10] = 2
    found = after(mask, KeepLargest())
    np.testing.assert_array_equal(found, np.where(mask == 2, 2, 0))


def test_a_union_counts_its_children():
    mask = volume()
    mask[4:6, 4:6, 4:6] = 0
    mask[15:17, 12:14, 1:3] = 7
    found = after(mask, KeepLargest(label="abdomen"))
    assert not (found == 7).any()
    # Liver and spleen touch: they are one component of the abdomen.
    assert (found == 2).sum() == (mask == 2).sum()


def test_components_touch_over_corners_unless_it_is_said_otherwise():
    mask = np.zeros((6, 6, 6), np.uint8)
    mask[1:3, 1:3, 1:3] = 5
    mask[3, 3, 3] = 5
    assert (after(mask, KeepLargest(label="liver")) == 5).sum() == 9
    assert (after(mask, KeepLargest(label="liver", neighbours="edges")) == 5).sum() == 8
    mask[3, 3, 3] = 0
    mask[3, 3, 2] = 5
    assert (after(mask, KeepLargest(label="liver", neighbours="edges")) == 5).sum() == 9
    assert (after(mask, KeepLargest(label="liver", neighbours="faces")) == 5).sum() == 8


def test_components_below_a_size_go_and_one_of_that_size_stays():
    mask = volume()
    # The far piece has 8 voxels of 2 mm3.
    assert (after(mask, RemoveSmall(smallest=16, label="liver")) == mask).all()
    assert not after(mask, RemoveSmall(smallest=16.1, label="liver"))[15:17].any()
    assert (after(mask, RemoveSmall(smallest=8, unit="voxels", label="liver")) == mask).all()
    assert not after(mask, RemoveSmall(smallest=9, unit="voxels", label="liver"))[15:17].any()


def test_holes_are_filled_with_what_surrounds_them():
    mask = volume()
    mask[4:6, 4:6, 4:6] = 0
    found = after(mask, FillHoles(label="liver"))
    assert (found[4:6, 4:6, 4:6] == 5).all()
    mask[4:6, 4:6, 4:6] = 5
    np.testing.assert_array_equal(found, mask)


def test_another_class_in_a_hole_stays():
    mask = volume()
    mask[3:6, 3:6, 3:6] = 7
    mask[4, 4, 4] = 0
    mask[6, 6, 6] = 2
    found = after(mask, FillHoles(label="liver"))
    assert found[6, 6, 6] == 2
    assert found[4, 4, 4] == 7


def test_filling_is_scipys():
    rng = np.random.default_rng(3)
    mask = (ndimage.gaussian_filter(rng.random((30, 30, 12)), 1.2) > 0.46).astype(np.uint8) * 5
    found = after(mask, FillHoles(label="liver")) > 0
    expected = ndimage.binary_fill_holes(mask)
    assert expected is not None
    assert (expected != (mask > 0)).any()
    np.testing.assert_array_equal(found, expected)


def test_keeping_and_removing_are_scipys():
    rng = np.random.default_rng(3)
    mask = (ndimage.gaussian_filter(rng.random((40, 30, 12)), 1.2) > 0.56).astype(np.uint8) * 5
    parts, number = ndimage.label(mask, np.ones((3, 3, 3)))
    sizes = ndimage.sum_labels(mask > 0, parts, np.arange(1, number + 1))
    assert number > 20
    found = after(mask, KeepLargest(label="liver")) > 0
    np.testing.assert_array_equal(found, parts == 1 + sizes.argmax())
    found = after(mask, RemoveSmall(smallest=10, unit="voxels", label="liver")) > 0
    np.testing.assert_array_equal(found, np.isin(parts, 1 + np.flatnonzero(sizes >= 10)))


def test_overlapping_layers_of_a_class_go_together_and_a_child_goes_alone():
    mask = np.zeros((2, 12, 12, 6), np.uint8)
    mask[0, 1:6, 1:6, 1:5] = 1
    mask[1, 2:4, 2:4, 2:4] = 1
    mask[:, 9:11, 9:11, 2:4] = 1
    whole = after(mask, KeepLargest(label="whole"), labels=NESTED)
    assert not whole[:, 9:11].any()
    core = after(mask, RemoveSmall(smallest=9, unit="voxels", label="core"), labels=NESTED)
    np.testing.assert_array_equal(core[0], mask[0])
    assert not core[1].any()


def test_a_hole_in_a_layer_is_filled_in_that_layer_alone():
    mask = np.zeros((2, 8, 8, 8), np.uint8)
    mask[0, 1:7, 1:7, 1:7] = 1
    mask[0, 3, 3, 3] = 0
    found = after(mask, FillHoles(label="whole"), labels=NESTED)
    assert found[0, 3, 3, 3] == 1
    assert not found[1].any()


def test_pictures_have_steps_too():
    mask = np.zeros((12, 12), np.uint8)
    mask[1:6, 1:6] = 5
    mask[3, 3] = 0
    mask[9, 9] = 5
    found = apply_steps(
        mask.copy(), (FillHoles(label="liver"), KeepLargest(label="liver")), ORGANS, (1.0, 1.0)
    )
    assert (found == 5).sum() == 25


def test_an_empty_mask_and_no_steps_change_nothing():
    empty = np.zeros((4, 4, 4), np.uint8)
    steps = KeepLargest(), RemoveSmall(smallest=3), FillHoles(label="liver")
    assert not after(empty, *steps).any()
    np.testing.assert_array_equal(after(volume()), volume())


def test_steps_in_a_row_are_each_done_to_what_the_one_before_has_left():
    rng = np.random.default_rng(0)
    mask = rng.choice(np.array([0, 0, 0, 2, 5, 7], np.uint8), (12, 11, 10))
    steps = (
        RemoveSmall(label="spleen", smallest=5, neighbours="faces"),
        FillHoles(label="abdomen"),
        KeepLargest(label="liver", neighbours="faces"),
        FillHoles(),
        KeepLargest(label="abdomen", neighbours="faces"),
        KeepLargest(label="tumour", neighbours="faces"),
    )
    found = mask
    for step in steps:
        before, found = found, after(found, step)
        assert not np.array_equal(before, found) or step == FillHoles()
    np.testing.assert_array_equal(after(mask, *steps), found)


def test_what_was_filled_beyond_the_box_of_a_class_is_seen_by_the_next_step():
    mask = np.full((9, 9, 9), 2, np.uint8)
    mask[:, :, 4] = 5
    mask[:, :, 5:] = 7
    mask[2:7, 2:7, 4] = 0
    first = RemoveSmall(label="spleen", smallest=1)
    assert (after(mask, first, FillHoles())[2:7, 2:7, 4] == 2).all()
    found = after(mask, first, FillHoles(), RemoveSmall(label="spleen", smallest=1e6))
    assert not (found == 2).any()


def test_steps_go_through_json_unchanged():
    steps = (
        KeepLargest(label="liver", neighbours="faces"),
        RemoveSmall(smallest=12.5, label="tumour"),
        FillHoles(),
    )
    assert steps_from_json(json.loads(json.dumps(steps_to_json(steps)))) == steps


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (["erode"], "step 0: unknown kind 'erode'"),
        ([{"step": ["erode"]}], "step 0: unknown kind"),
        ([{"step": "erode"}], "step 0: unknown kind 'erode'. Known are: keep_largest, remove_sm"),
        ([{"step": "keep_largest", "size": 3}], r"step 0 \(keep_largest\): .*'size'"),
        ([{"step": "remove_small", "smallest": -1}], "smallest must be above 0, got -1"),
        ([{"step": "remove_small", "smallest": 1, "unit": "ml"}], "unit is mm3 or voxels"),
        ([{"step": "fill_holes", "neighbours": "6"}], "neighbours are faces, edges, corners"),
    ],
)
def test_what_is_no_step_is_refused(data, message):
    with pytest.raises(DataError, match=message):
        steps_from_json(data)


def test_an_unknown_class_is_named():
    with pytest.raises(DataError, match=r"unknown class 'lung'\. Known are: abdomen, liver"):
        after(volume(), KeepLargest(label="lung"))
