"""What the numbers in a mask mean."""

import numpy as np
import pytest

from delineate.errors import DataError
from delineate.labels import IGNORE, Class, Labels, find_pairs

NESTED = Labels(
    classes=(
        Class(name="brainstem", id=9),
        Class(name="midbrain", parent="brainstem"),
        Class(name="red nucleus", id=4, parent="midbrain"),
        Class(name="pons", id=29, parent="brainstem"),
    )
)


def test_background_gets_a_channel_and_no_class():
    labels = Labels.from_names({"background": 0, "liver": 1, "tumour": 2})
    assert labels.names == ("liver", "tumour")
    assert labels.channels == 3


def test_ids_with_gaps_become_consecutive_channels_and_come_back():
    labels = Labels.from_names({"a": 5, "b": 117})
    mask = np.array([[0, 5], [117, 5]])
    channels = labels.encode(mask)
    assert channels.tolist() == [[0, 1], [2, 1]]
    assert np.array_equal(labels.decode(channels), mask)


def test_decoded_masks_use_the_smallest_type_that_holds_the_ids():
    assert Labels.from_names({"a": 255}).decode(np.array([1])).dtype == np.uint8
    assert Labels.from_names({"a": 256}).decode(np.array([1])).dtype == np.uint16


def test_an_undeclared_id_is_named():
    with pytest.raises(DataError, match=r"undeclared values \[3, 7\]; declared are \[0, 1\]"):
        Labels.from_names({"a": 1}).encode(np.array([0, 1, 3, 7, 7]))


def test_ignored_voxels_become_minus_one():
    labels = Labels.from_names({"a": 1}, ignore=255)
    assert labels.encode(np.array([0, 1, 255])).tolist() == [0, 1, IGNORE]


def test_a_negative_ignore_id_is_encoded():
    labels = Labels.from_names({"a": 1}, ignore=-1)
    assert labels.encode(np.array([-1, 0, 1], np.int16)).tolist() == [IGNORE, 0, 1]


def test_a_class_with_children_is_the_union_of_its_own_id_and_theirs():
    assert [c.name for c in NESTED.leaves] == ["brainstem", "red nucleus", "pons"]
    assert NESTED.members("brainstem") == (1, 2, 3)
    assert NESTED.members("midbrain") == (2,)
    assert NESTED.channels == 4


def test_overlapping_masks_have_no_background_channel():
    labels = Labels(classes=(Class(name="a", id=0), Class(name="b", id=1)), overlapping=True)
    assert labels.channels == 2
    assert labels.members("b") == (1,)


def test_a_mirror_swaps_the_channels_of_a_pair():
    labels = Labels.from_names({"left_kidney": 1, "liver": 2, "right_kidney": 3})
    assert labels.pairs == (("left_kidney", "right_kidney"),)
    assert labels.mirror == (0, 3, 2, 1)


@pytest.mark.parametrize(
    "names",
    [
        ("left_lung", "right_lung"),
        ("Left-Lateral-Ventricle", "Right-Lateral-Ventricle"),
        ("Left-Inf-Lat-Vent", "Right-Inf-Lat-Vent"),
        ("Lung-Lt", "Lung-Rt"),
        ("L_hip", "R_hip"),
        ("HIP-lh", "HIP-rh"),
        ("Left Kidney", "Right Kidney"),
    ],
)
def test_left_and_right_names_are_recognised(names):
    assert find_pairs(names) == (names,)


@pytest.mark.parametrize(
    "names",
    [
        ("L1", "L2"),
        ("left_ventricle", "right_ventricle"),
        ("atrium_l", "atrium_r"),
        ("cleft", "cright"),
        ("liver", "river"),
        ("Left",),
    ],
)
def test_names_that_only_look_like_sides_are_not_pairs(names):
    assert find_pairs(names) == ()


def test_json_brings_the_same_labels_back():
    labels = Labels(
        classes=(Class(name="a", id=1, colour=(1, 2, 3)), Class(name="b", id=2, parent="a")),
        ignore=9,
    )
    assert Labels.from_json(labels.to_json()) == labels


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([Class(name="a", id=1), Class(name="a", id=2)], "the class name 'a' is used twice"),
        ([Class(name="a", id=1), Class(name="b", id=1)], "the label id 1 is used twice"),
        ([Class(name="a", id=0)], "id 0 is the background"),
        ([Class(name="a")], "'a' has neither an id nor children"),
        ([Class(name="a", id=1, parent="x")], "'a' has the unknown parent 'x'"),
        (
            [Class(name="a", id=1, parent="b"), Class(name="b", id=2, parent="a")],
            "is its own ancestor",
        ),
    ],
)
def test_labels_that_make_no_sense_are_refused(classes, message):
    with pytest.raises(DataError, match=message):
        Labels(classes=tuple(classes))
