"""The counts of a training against loops over its voxels."""

import numpy as np
import pytest
import torch

from delineate.contracts import Output, Target
from delineate.engine.tally import Tally


def answer(logits: torch.Tensor, mask: torch.Tensor, tally: Tally) -> None:
    zero = tally(Output(logits=logits), Target(mask=mask))
    assert zero.shape == ()
    assert zero == 0


def test_exclusive_voxels_are_counted_over_all_batches_but_for_ignored_ones():
    rng, tally = torch.Generator().manual_seed(0), Tally()
    pairs = []
    for _ in range(3):
        logits = torch.randn(2, 4, 5, 6, generator=rng, requires_grad=True)
        mask = torch.randint(-1, 3, (2, 5, 6), generator=rng)  # class 3 is never there
        answer(logits, mask, tally)
        found = logits.detach().argmax(1)
        pairs += [(f, t) for f, t in zip(found.ravel(), mask.ravel(), strict=True) if t >= 0]
    dice, accuracy = tally.take()
    each = []
    for c in (1, 2, 3):
        both = sum(f == c and t == c for f, t in pairs)
        each.append(
            float(2 * both / (sum(f == c for f, _ in pairs) + sum(t == c for _, t in pairs)))
        )
    assert dice == pytest.approx(np.mean(each))
    assert accuracy == pytest.approx(sum(bool(f == t) for f, t in pairs) / len(pairs))
    assert all(np.isnan(tally.take()))


def test_overlapping_masks_are_counted_layer_by_layer():
    logits = torch.tensor([[[1.0, -1.0, 1.0]], [[1.0, 1.0, -1.0]]]).view(1, 2, 3).requires_grad_()
    mask = torch.tensor([[[1.0, 1.0, 0.0], [1.0, 0.0, -1.0]]])
    tally = Tally()
    answer(logits, mask, tally)
    dice, accuracy = tally.take()
    assert dice == pytest.approx((2 * 1 / 4 + 2 * 1 / 3) / 2)
    assert accuracy == pytest.approx(2 / 5)


def test_what_is_asked_without_gradients_does_not_count():
    tally, logits = Tally(), torch.zeros(1, 2, 3, 3)
    with torch.no_grad():
        answer(logits, torch.zeros(1, 3, 3, dtype=torch.long), tally)
    assert all(np.isnan(tally.take()))


def test_a_tally_goes_on_from_its_state():
    whole, first, second = Tally(), Tally(), Tally()
    logits = [torch.randn(1, 2, 4, 4, requires_grad=True) for _ in range(2)]
    mask = torch.ones(1, 4, 4, dtype=torch.long)
    for one in logits:
        answer(one, mask, whole)
    answer(logits[0], mask, first)
    second.load_state_dict(first.state_dict())
    answer(logits[1], mask, second)
    assert second.take() == whole.take()
