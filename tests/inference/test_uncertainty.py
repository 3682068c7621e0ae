from math import log

import numpy as np
import pytest
import torch

from delineate.inference.uncertainty import entropy, vote_entropy


def test_entropy_runs_from_certain_to_as_unsure_as_can_be():
    shares = torch.tensor([[1.0, 1 / 3, 0.5], [0.0, 1 / 3, 0.5], [0.0, 1 / 3, 0.0]])
    expected = torch.tensor([0.0, 1.0, log(2) / log(3)])
    torch.testing.assert_close(entropy(shares, overlapping=False), expected)


def test_of_overlapping_classes_the_most_unsure_counts():
    shares = torch.tensor([[0.5, 1.0, 0.0], [0.9, 1.0, 0.1]])
    tenth = -(0.1 * log(0.1) + 0.9 * log(0.9)) / log(2)
    found = entropy(shares, overlapping=True)
    torch.testing.assert_close(found, torch.tensor([1.0, 0.0, tenth]))


def test_shares_above_one_by_rounding_are_certain():
    shares = torch.tensor([[1.0000001]])
    assert entropy(shares, overlapping=True).item() == pytest.approx(0, abs=1e-5)


def test_the_entropy_of_votes_is_that_of_their_shares():
    rng = np.random.default_rng(0)
    masks = [rng.integers(0, 4, (5, 6)) for _ in range(5)]
    found = vote_entropy(masks, choices=4)
    shares = np.stack([np.mean([m == k for m in masks], axis=0) for k in range(4)])
    logs = np.log(shares, where=shares > 0, out=np.zeros_like(shares))
    np.testing.assert_allclose(found, -(shares * logs).sum(0) / log(4), atol=1e-3)
