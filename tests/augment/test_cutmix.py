"""A box of another sample: image, mask, presence and distance stay together."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from delineate.augment import CutMix, Frame
from delineate.augment.distance import remake_distances
from delineate.augment.paste import donor_of
from delineate.contracts import Batch, Target
from delineate.labels import Class, Labels

DRAW = {"donor": 0.0, "class": 0.0, "voxel": 0.0, "size": [0.5, 0.5], "before": [0.5, 0.5]}


def make_batch(masks, **rest):
    generator = torch.Generator().manual_seed(0)
    mask = torch.stack(masks)
    return Batch(
        image=torch.randn(len(masks), 2, *mask.shape[-2:], generator=generator),
        target=Target(mask=mask, **rest),
        spacing=(1.0, 1.0),
        cases=tuple("abcdef"[: len(masks)]),
        step=0,
    )


def empty(size=(12, 12)):
    return torch.zeros(size, dtype=torch.int64)


def with_class(*voxel, ids=1, size=(12, 12)):
    mask = empty(size)
    mask[voxel] = ids
    return mask


def test_image_and_mask_of_the_box_are_the_donors_and_the_rest_is_its_own():
    batch = make_batch([empty(), with_class(6, 5)])
    after = CutMix().apply(batch, [DRAW, None])
    box = (slice(3, 9), slice(2, 8))
    expected = batch.image.clone()
    expected[0][:, *box] = batch.image[1][:, *box]
    assert torch.equal(after.image, expected)
    assert torch.equal(after.target.mask[0], batch.target.mask[1])
    assert torch.equal(after.target.mask[1], batch.target.mask[1])


@pytest.mark.parametrize("voxel", [(0, 0), (11, 11), (0, 11)])
def test_at_the_border_the_box_keeps_its_size_and_holds_the_voxel(voxel):
    batch = make_batch([empty(), with_class(*voxel)])
    after = CutMix().apply(batch, [{**DRAW, "before": [0.99, 0.0]}, None])
    changed = (after.image[0] != batch.image[0]).all(0)
    assert changed.sum() == 36
    assert changed[voxel]


def test_rare_classes_are_drawn_by_the_inverse_root_of_their_voxels():
    mask = empty()
    mask[:10, :10], mask[11, 11] = 1, 2  # 100 voxels and 1: one in eleven
    frame = Frame(channels=2, patch=(12, 12), spacing=(1.0, 1.0))
    batch = make_batch([empty(), mask])
    found = {rarity: [] for rarity in (0.0, 0.5, 1.0)}
    for rarity, seen in found.items():
        rng, part = (
            np.random.default_rng(0),
            CutMix(rarity=rarity, size=(0.05, 0.05), probability=1),
        )
        for _ in range(120):
            after = part.apply(batch, [part.draw(rng, frame), None])
            seen.append(int(after.target.mask[0].max()))
    shares = [np.mean(np.array(seen) == 2) for seen in found.values()]
    np.testing.assert_allclose(shares, [1 / 2, 10 / 11, 100 / 101], atol=0.1)


def test_donors_are_any_other_slot_alike_and_never_the_same():
    rng = np.random.default_rng(0)
    donors = [donor_of(2, {"donor": rng.random()}, 4) for _ in range(400)]
    assert set(donors) == {0, 1, 3}
    assert min(np.bincount(donors)[[0, 1, 3]]) > 100


def test_donors_give_what_was_handed_in_even_if_they_are_pasted_into():
    batch = make_batch([with_class(2, 2), with_class(9, 9)])
    after = CutMix().apply(batch, [DRAW, DRAW])
    assert after.target.mask[0, 9, 9] == 1
    assert after.target.mask[1, 2, 2] == 1


def test_a_donor_without_a_structure_gives_nothing():
    batch = make_batch([with_class(2, 2), empty()])
    after = CutMix().apply(batch, [DRAW, None])
    assert torch.equal(after.image, batch.image)
    assert torch.equal(after.target.mask, batch.target.mask)


def test_ignored_voxels_are_no_class_but_are_cut_too():
    donor = torch.full((12, 12), -1)
    donor[6, 6] = 1
    after = CutMix(size=(0.5, 0.5)).apply(make_batch([empty(), donor]), [DRAW, None])
    assert sorted(after.target.mask[0].unique().tolist()) == [-1, 0, 1]


def test_presence_says_what_came_and_what_was_covered_and_keeps_what_was_never_seen():
    own = with_class(6, 6, ids=2)
    presence = torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    batch = make_batch([own, with_class(6, 5, ids=1)], presence=presence)
    after = CutMix().apply(batch, [DRAW, None])
    assert after.target.presence.tolist() == [[1.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    assert batch.target.presence is presence
    assert presence.tolist() == [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]]


def test_presence_of_a_union_is_that_of_its_members():
    labels = Labels(
        classes=(
            Class(name="organ"),
            Class(name="left", id=1, parent="organ"),
            Class(name="right", id=2, parent="organ"),
        )
    )
    batch = make_batch([empty(), with_class(6, 5, ids=2)], presence=torch.zeros(2, 3))
    after = CutMix(labels=labels).apply(batch, [DRAW, None])
    assert after.target.presence.tolist() == [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]


def test_presence_of_other_classes_is_refused():
    batch = make_batch([empty(), with_class(6, 5)], presence=torch.zeros(2, 3))
    with pytest.raises(ValueError) as error:
        CutMix(labels=Labels.from_names({"lesion": 1})).apply(batch, [DRAW, None])
    assert str(error.value) == (
        "augment: presence has 3 columns but the labels 1 classes. "
        "Fix: one entry a class, in the order of the labels."
    )


def test_distances_are_those_of_the_new_mask():
    masks = [with_class(slice(2, 8), slice(1, 9)), with_class(slice(5, 11), slice(4, 6), ids=2)]
    blank = torch.zeros(3, 12, 12)
    known = torch.stack([remake_distances(blank, m, (1.0, 1.0)) for m in masks])
    batch = make_batch(masks, distance=known)
    target = CutMix().apply(batch, [DRAW, None]).target
    expected = remake_distances(blank, target.mask[0], (1.0, 1.0))
    torch.testing.assert_close(target.distance[0], expected)
    assert torch.equal(target.distance[1], known[1])


def test_overlapping_masks_are_cut_in_all_their_channels():
    masks = [torch.zeros(2, 12, 12), torch.zeros(2, 12, 12)]
    masks[0][0], masks[1][1, 6, 5] = 1, 1
    presence = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    target = CutMix().apply(make_batch(masks, presence=presence), [DRAW, None]).target
    assert target.mask[0, 0].sum() == 144 - 36
    assert target.mask[0, 1].sum() == 1
    assert target.presence[0].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("draw", [DRAW, None])
def test_a_batch_of_one_or_without_masks_is_refused_whatever_is_drawn(draw):
    batch = make_batch([empty()])
    with pytest.raises(ValueError) as error:
        CutMix().apply(batch, [draw])
    assert str(error.value) == (
        "CutMix: a batch of one has no other sample to paste from. "
        "Fix: a batch size of 2 or more, or leave CutMix out."
    )
    with pytest.raises(ValueError) as error:
        CutMix().apply(replace(batch, target=Target(mask=None)), [draw])
    assert str(error.value) == (
        "CutMix: the batch has no masks, which tell what to paste. Fix: leave CutMix out."
    )
