"""Losses of distances against their sums, voxel by voxel."""

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

from delineate.contracts import Output, Target
from delineate.losses import Boundary, HausdorffLike, WeightedSum


def ball(size=12, radius=3.0, spacing=(1.0, 2.0)):
    """The mask of a disc and the maps of background and disc, in mm."""
    axes = np.meshgrid(*(np.arange(size) - size / 2 for _ in spacing), indexing="ij")
    inside = sum(a**2 for a in axes) <= radius**2
    distance = distance_transform_edt(~inside, spacing) - distance_transform_edt(inside, spacing)
    maps = torch.tensor(np.stack((-distance, distance)))[None]
    return Target(mask=torch.tensor(inside).long()[None], distance=maps)


def sure(mask):
    return Output(logits=torch.nn.functional.one_hot(mask, 2).movedim(-1, 1).double() * 100)


def test_boundary_is_the_mean_of_probability_times_distance():
    target = ball()
    logits = torch.randn(1, 2, 12, 12, dtype=torch.double)
    expected = 0.0
    for i in range(12):
        for j in range(12):
            p = logits[0, :, i, j].softmax(0)[1]
            expected += p * target.distance[0, 1, i, j] / 144
    torch.testing.assert_close(Boundary()(Output(logits=logits), target), expected)


def test_hausdorff_is_the_mean_of_error_times_the_power_of_the_distance():
    target = ball()
    logits = torch.randn(1, 2, 12, 12, dtype=torch.double)
    expected = 0.0
    for i in range(12):
        for j in range(12):
            error = logits[0, :, i, j].softmax(0)[1] - target.mask[0, i, j]
            weight = min(abs(target.distance[0, 1, i, j]) / 5, 1) ** 1.5
            expected += error**2 * weight / 144
    found = HausdorffLike(alpha=1.5, reach_mm=5.0)(Output(logits=logits), target)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("term", [Boundary(), HausdorffLike()])
def test_a_disc_that_is_moved_or_resized_costs_more_the_further_it_is(term):
    target = ball()
    moved = [term(sure(target.mask.roll(n, 2)), target).item() for n in (0, 1, 2, 3)]
    assert moved == sorted(moved)
    assert moved[0] < moved[1]
    grown = [term(sure(ball(radius=r).mask), target).item() for r in (3.0, 4.0, 5.0)]
    assert grown == sorted(grown)
    shrunk = [term(sure(ball(radius=r).mask), target).item() for r in (3.0, 2.0, 1.0)]
    assert shrunk == sorted(shrunk)


@pytest.mark.parametrize("term", [Boundary(), HausdorffLike()])
def test_a_structure_whose_map_is_zero_is_left_to_other_terms(term):
    target = Target(mask=torch.zeros(1, 3, 4, dtype=torch.long), distance=torch.zeros(1, 2, 3, 4))
    logits = torch.randn(1, 2, 3, 4, requires_grad=True)
    value = term(Output(logits=logits), target)
    value.backward()
    assert value == 0
    assert logits.grad.abs().max() == 0


def test_metres_away_cost_no_more_than_the_reach():
    mask = torch.zeros(1, 4, 4, dtype=torch.long)
    far = Target(mask=mask, distance=torch.full((1, 2, 4, 4), 1e4))
    output = Output(logits=torch.zeros(1, 2, 4, 4))
    torch.testing.assert_close(HausdorffLike()(output, far), torch.tensor(0.25))


@pytest.mark.parametrize("term", [Boundary(), HausdorffLike()])
def test_coarser_logits_meet_the_map_at_every_other_voxel_in_mm(term):
    target = ball()
    fine, coarse = (torch.randn(1, 2, n, n, dtype=torch.double) for n in (12, 6))
    found = WeightedSum({"x": term}, {"x": 3.0})(Output(logits=fine, deep=(coarse,)), target)
    second = Target(mask=target.mask[:, ::2, ::2], distance=target.distance[..., ::2, ::2])
    parts = term(Output(logits=fine), target), term(Output(logits=coarse), second)
    torch.testing.assert_close(found["x"], 2 * parts[0] + parts[1])


@pytest.mark.parametrize("term", [Boundary(), HausdorffLike()])
def test_batches_without_maps_are_refused(term):
    name = type(term).__name__
    output, mask = Output(logits=torch.zeros(1, 2, 4, 4)), torch.zeros(1, 4, 4).long()
    with pytest.raises(ValueError) as error:
        term(output, Target(mask=mask))
    assert str(error.value) == (
        f"{name}: target.distance is None. Fix: make the batches with distance maps, "
        "Batches(..., distance=True)."
    )
    with pytest.raises(ValueError) as error:
        term(output, Target(mask=mask, distance=torch.zeros(1, 1, 4, 4)))
    assert str(error.value) == (
        f"{name}: the distance has shape (1, 1, 4, 4) but the logits (1, 2, 4, 4). "
        "Fix: one map per output channel."
    )


def test_a_reach_of_nothing_is_refused():
    with pytest.raises(ValueError) as error:
        HausdorffLike(reach_mm=0.0)
    assert str(error.value) == "HausdorffLike: alpha is 2 and reach_mm 0. Fix: both above 0."
