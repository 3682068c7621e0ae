"""Slopes against a loop over pairs of neighbours, and what an edge costs."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F

from delineate.contracts import Output, Target
from delineate.losses import Edges


def by_loops(logits, mask, *, overlapping):
    """Every pair of neighbours in turn; a pair with an unknown voxel does not count."""
    probs = logits.sigmoid() if overlapping else logits.softmax(1)
    truth = mask if overlapping else F.one_hot(mask.clamp(min=0), logits.shape[1]).movedim(-1, 1)
    known = (mask >= 0) if overlapping else (mask >= 0)[:, None].expand_as(logits)
    total = count = 0
    for voxel in product(*(range(n) for n in logits.shape)):
        for axis in range(2, logits.dim()):
            other = tuple(v + (a == axis) for a, v in enumerate(voxel))
            if other[axis] < logits.shape[axis] and known[voxel] and known[other]:
                slope = (probs[other] - truth[other]) - (probs[voxel] - truth[voxel])
                total = total + slope**2
                count += 1
    return total / count if overlapping else 0.5 * total / (count / logits.shape[1])


@pytest.mark.parametrize("size", [(4, 3), (3, 2, 3), (1, 4)])
@pytest.mark.parametrize("overlapping", [False, True])
def test_value_and_gradient_are_those_of_a_loop_over_pairs(size, overlapping):
    generator = torch.Generator().manual_seed(0)
    k = 10  # more than are taken at a time
    logits = torch.randn(2, k, *size, generator=generator, dtype=torch.double, requires_grad=True)
    shape = logits.shape if overlapping else (2, *size)
    mask = torch.randint(-1, 2 if overlapping else k, shape, generator=generator)
    mask = mask.double() if overlapping else mask
    found = Edges(overlapping=overlapping)(Output(logits=logits), Target(mask=mask))
    expected = by_loops(logits, mask, overlapping=overlapping)
    torch.testing.assert_close(found, expected)
    for own, wanted in zip(
        torch.autograd.grad(3 * found, logits), torch.autograd.grad(3 * expected, logits),
        strict=True,
    ):  # fmt: skip
        torch.testing.assert_close(own, wanted)


def sure(ids, k):
    return Output(logits=100.0 * F.one_hot(ids, k).movedim(-1, 1).float())


@pytest.mark.parametrize("label", [1, 5, 15])
def test_the_truth_costs_nothing_whatever_its_id(label):
    ids = torch.zeros(1, 6, 6, 6, dtype=torch.long)
    ids[0, 2:4, 2:4, 2:4] = label
    assert Edges()(sure(ids, 16), Target(mask=ids)) == 0


def test_an_edge_that_is_missed_costs_what_one_costs_that_is_invented():
    edge, flat = torch.tensor([[0, 0, 7, 7, 7]]), torch.zeros(1, 5, dtype=torch.long)
    missed = Edges()(sure(flat, 9), Target(mask=edge))
    invented = Edges()(sure(edge, 9), Target(mask=flat))
    assert missed == invented == 1 / 4


def test_coming_nearer_to_the_true_edge_is_better():
    truth = torch.tensor([[0, 0, 1, 1, 1, 1]])
    costs = [
        Edges()(
            Output(logits=torch.tensor([[[0.0] * 6, [-s, -s, s, s, s, s]]])), Target(mask=truth)
        )
        for s in (0.0, 1.0, 4.0, 16.0)
    ]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] == pytest.approx(1 / 5)


def test_one_tensor_of_the_size_of_the_logits_is_kept_for_the_backward_pass():
    logits = torch.randn(1, 12, 8, 8, requires_grad=True)
    kept = []

    def keep(tensor):
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        Edges()(Output(logits=logits), Target(mask=torch.randint(0, 12, (1, 8, 8))))
    assert sorted(kept) == [1, 64, logits.numel()]
