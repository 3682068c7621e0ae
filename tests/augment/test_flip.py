"""Mirrors: exact, and left stays left."""

import numpy as np
import pytest
import torch

from delineate.augment import Flip, Frame
from delineate.contracts import Batch, Target
from delineate.labels import Class, Labels

LABELS = Labels.from_names({"kidney_left": 1, "kidney_right": 2, "liver": 3})


def make_batch(mask, **rest):
    return Batch(
        image=torch.randn(2, 1, 3, 4, 5),
        target=Target(mask=mask, **rest),
        spacing=(1.0, 1.0, 1.0),
        cases=("a", "b"),
        step=0,
    )


def ids():
    return torch.randint(-1, 4, (2, 3, 4, 5), dtype=torch.int8)


def test_only_the_drawn_samples_are_reversed_along_the_drawn_axes():
    batch = make_batch(ids())
    after = Flip().apply(batch, [{"axes": [0, 2]}, None])
    assert torch.equal(after.image[0], batch.image[0].flip(1, 3))
    assert torch.equal(after.target.mask[0], batch.target.mask[0].flip(0, 2))
    assert torch.equal(after.image[1], batch.image[1])


def test_across_left_and_right_paired_labels_change_places_and_ignored_voxels_stay():
    batch = make_batch(ids())
    after = Flip(mirror=LABELS.mirror).apply(batch, [{"axes": [0]}, {"axes": [1]}])
    mirrored = batch.target.mask[0].flip(0)
    expected = mirrored.clone()
    expected[mirrored == 1], expected[mirrored == 2] = 2, 1
    assert torch.equal(after.target.mask[0], expected)
    assert torch.equal(after.target.mask[1], batch.target.mask[1].flip(1))
    assert after.target.mask.dtype == torch.int8


def test_channels_of_overlapping_masks_distances_and_presence_change_places():
    classes = LABELS.names
    overlapping = Labels(classes=LABELS.classes, overlapping=True, pairs=LABELS.pairs)
    batch = make_batch(
        torch.rand(2, len(classes), 3, 4, 5).round(),
        presence=torch.tensor([[1.0, 0.0, 1.0], [1.0, 0.0, 0.0]]),
        distance=torch.randn(2, 3, 3, 4, 5),
    )
    after = Flip(mirror=overlapping.mirror).apply(batch, [{"axes": [0]}, None])
    assert torch.equal(after.target.mask[0], batch.target.mask[0][[1, 0, 2]].flip(1))
    assert torch.equal(after.target.distance[0], batch.target.distance[0][[1, 0, 2]].flip(1))
    assert after.target.presence.tolist() == [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]]


def test_presence_without_background_beside_masks_with_it():
    batch = make_batch(ids(), presence=torch.tensor([[1.0, 0.0, 1.0], [1.0, 0.0, 0.0]]))
    after = Flip(mirror=LABELS.mirror).apply(batch, [{"axes": [0]}] * 2)
    assert after.target.presence.tolist() == [[0.0, 1.0, 1.0], [0.0, 1.0, 0.0]]


def test_presence_of_paired_unions_changes_places_too():
    arms = [Class(name=f"arm_{side}") for side in ("left", "right")]
    bones = [
        Class(name=f"{bone}_{side}", id=i, parent=f"arm_{side}")
        for i, (bone, side) in enumerate(
            [("ulna", "left"), ("radius", "left"), ("ulna", "right"), ("radius", "right")], 1
        )
    ]
    names = ("arm", "ulna", "radius")
    pairs = tuple((f"{name}_left", f"{name}_right") for name in names)
    labels = Labels(classes=(*arms, *bones), pairs=pairs)
    batch = make_batch(ids(), presence=torch.tensor([[1.0, 0, 1, 0, 0, 0], [0, 1, 0, 0, 0, 1]]))
    flip = Flip(mirror=labels.mirror, labels=labels)
    after = flip.apply(batch, [{"axes": [0]}, None])
    assert after.target.presence.tolist() == [[0, 1, 0, 0, 1, 0], [0, 1, 0, 0, 0, 1]]


def test_classes_of_whole_images_have_no_sides():
    batch = make_batch(None, presence=torch.tensor([1, 2]))
    after = Flip(mirror=LABELS.mirror).apply(batch, [{"axes": [0]}] * 2)
    assert after.target.presence.tolist() == [1, 2]


def test_flipping_twice_is_where_one_began():
    batch = make_batch(ids())
    flip, draws = Flip(mirror=LABELS.mirror), [{"axes": [0, 1]}, {"axes": [0]}]
    twice = flip.apply(flip.apply(batch, draws), draws)
    assert torch.equal(twice.image, batch.image)
    assert torch.equal(twice.target.mask, batch.target.mask)


def test_a_mirror_for_other_labels_is_refused():
    batch = make_batch(torch.zeros(2, 3, 3, 4, 5))
    with pytest.raises(ValueError) as error:
        Flip(mirror=(0, 2, 1, 3, 4)).apply(batch, [{"axes": [0]}, None])
    assert str(error.value) == (
        "Flip: the mirror names 5 channels but the target has 3. "
        "Fix: Flip(mirror=labels.mirror) with the data's own labels."
    )


@pytest.mark.parametrize("axis", [-1, 3])
def test_an_axis_that_the_patch_does_not_have_is_refused(axis):
    """Counted from the end it would be another, or that of the channels."""
    frame = Frame(channels=1, patch=(3, 4, 5), spacing=(1.0, 1.0, 1.0))
    with pytest.raises(ValueError) as error:
        Flip(axes=[0, axis]).draw(np.random.default_rng(0), frame)
    assert str(error.value) == f"Flip: the patch has no axis {axis}. Fix: axes count from 0 to 2."
