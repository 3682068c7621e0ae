"""Structures in their own shapes: what is pasted, how often, and in which order."""

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion

from delineate.augment import StructureMix
from delineate.augment.structure_mix import _within
from delineate.contracts import Batch, Target
from delineate.labels import Class, Labels

DRAW = {"donor": 0.0, "seed": 3}
EVER = {"chance": 1.0, "rest": 1.0, "priorities": {}}


def make_batch(own, donor, **rest):
    masks = torch.stack((own, donor))
    generator = torch.Generator().manual_seed(0)
    return Batch(
        image=torch.randn(2, 2, *own.shape, generator=generator),
        target=Target(mask=masks, **rest),
        spacing=(1.0,) * own.dim(),
        cases=("a", "b"),
        step=0,
    )


def blank(size=(10, 9)):
    return torch.zeros(size, dtype=torch.int64)


@pytest.mark.parametrize("size", [(12, 11), (9, 8, 10)])
def test_a_shape_loses_its_rim_but_not_where_the_patch_ends(size):
    shape = torch.rand(size, generator=torch.Generator().manual_seed(1)) > 0.06
    expected = binary_erosion(shape.numpy(), border_value=1)
    assert 0 < expected.sum() < shape.sum()
    np.testing.assert_array_equal(_within(shape).numpy(), expected)


def test_image_and_mask_within_the_outline_are_the_donors_and_all_else_stays():
    donor = blank()
    donor[2:7, 3:8] = 4
    batch = make_batch(blank(), donor)
    after = StructureMix(**EVER).apply(batch, [DRAW, None])
    inside = (slice(3, 6), slice(4, 7))
    image, mask = batch.image.clone(), batch.target.mask.clone()
    image[0][:, *inside], mask[0][inside] = batch.image[1][:, *inside], 4
    assert torch.equal(after.image, image)
    assert torch.equal(after.target.mask, mask)


def test_a_structure_that_would_vanish_is_taken_whole_and_lies_above_larger_ones():
    donor = blank()
    donor[1:9, 1:8] = 1
    donor[4, 4] = 2
    after = StructureMix(**EVER).apply(make_batch(blank(), donor), [DRAW, None])
    mask = after.target.mask[0]
    assert mask[4, 4] == 2
    assert (mask == 2).sum() == 1
    assert (mask == 1).sum() == 6 * 5 - 5  # the rim around the hole is not within either


def shares_of_pasted(part, donor, turns=200):
    batch, found = make_batch(torch.zeros_like(donor), donor), np.zeros(4)
    for seed in range(turns):
        mask = part.apply(batch, [{"donor": 0.0, "seed": seed}, None]).target.mask[0]
        found[mask.unique()] += 1
    return found[1:] / turns


def at_least_one(chances):
    """How often each comes if one is drawn, by its chance, where chance leaves none."""
    chances = np.array(chances)
    return chances + np.prod(1 - chances) * chances / chances.sum()


def test_each_structure_has_its_own_chance_times_its_priority():
    donor = blank()
    donor[1:3], donor[4:6], donor[7:9] = 1, 2, 3
    part = StructureMix(priorities={1: 1.0, 2: 0.2}, chance=0.5)
    shares = at_least_one([0.5, 0.1, 0.25])
    np.testing.assert_allclose(shares_of_pasted(part, donor), shares, atol=0.08)


def test_a_sample_that_is_drawn_always_has_a_structure_pasted():
    donor = blank()
    donor[1:3], donor[4:6] = 1, 2
    batch = make_batch(blank(), donor)
    part = StructureMix(priorities={1: 0.01, 2: 0.0})
    for seed in range(20):
        mask = part.apply(batch, [{"donor": 0.0, "seed": seed}, None]).target.mask[0]
        assert mask.unique().tolist() == [0, 1]


def test_without_priorities_the_rarest_comes_first():
    donor = blank((20, 5))
    donor[1, :4], donor[3:19, :4] = 2, 1  # 4 voxels and 64
    part = StructureMix(chance=0.8)
    shares = [*at_least_one([0.8 / 4, 0.8]), 0]
    np.testing.assert_allclose(shares_of_pasted(part, donor), shares, atol=0.08)


def test_a_structure_goes_by_its_own_name_before_that_of_its_union():
    labels = Labels(
        classes=(
            Class(name="pons"),
            Class(name="locus", id=121, parent="pons"),
            Class(name="facial", id=123, parent="pons"),
        )
    )
    part = StructureMix(priorities={"locus": 1.0, "pons": 0.3}, labels=labels)
    assert part.priorities == {1: 1.0, 2: 0.3}


def test_overlapping_masks_and_presence_follow():
    donor = torch.zeros(2, 8, 8)
    donor[0, 1:7, 1:7], donor[1, 4, 4] = 1, 1
    presence = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    batch = Batch(
        image=torch.rand(2, 1, 8, 8),
        target=Target(mask=torch.stack((torch.zeros(2, 8, 8), donor)), presence=presence),
        spacing=(1.0, 1.0),
        cases=("a", "b"),
        step=0,
    )
    after = StructureMix(**EVER).apply(batch, [DRAW, None]).target
    assert after.mask[0].sum((1, 2)).tolist() == [16, 1]
    assert after.presence[0].tolist() == [1, 1]


def test_a_donor_without_structures_gives_nothing_and_one_that_is_unknown_neither():
    for donor in (blank(), blank() - 1):
        batch = make_batch(blank(), donor)
        assert torch.equal(StructureMix(**EVER).apply(batch, [DRAW, None]).image, batch.image)
