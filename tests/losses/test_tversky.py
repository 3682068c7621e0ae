"""Tversky losses against their definition and against Dice."""

import pytest
import torch

from delineate.contracts import Output, Target
from delineate.losses import Dice, FocalTversky, Tversky


def index_by_hand(probs, mask, alpha, beta, smooth=1e-5):
    """One Tversky index per case and foreground class."""
    scores = []
    for case in range(len(probs)):
        for k in range(1, probs.shape[1]):
            g, p = (mask[case] == k).double(), probs[case, k]
            hits, alarms, misses = (p * g).sum(), (p * (1 - g)).sum(), ((1 - p) * g).sum()
            scores.append((hits + smooth) / (hits + alpha * alarms + beta * misses + smooth))
    return torch.stack(scores)


@pytest.fixture
def example():
    logits = torch.randn(3, 3, 5, 4, dtype=torch.double)
    return Output(logits=logits), Target(mask=torch.randint(0, 3, (3, 5, 4)))


def test_it_is_the_definition_case_by_case(example):
    expected = 1 - index_by_hand(example[0].logits.softmax(1), example[1].mask, 0.2, 0.9).mean()
    torch.testing.assert_close(Tversky(alpha=0.2, beta=0.9)(*example), expected)


@pytest.mark.parametrize("gamma", [0.75, 1.0, 2.0])
def test_the_focal_one_raises_each_class_to_the_power(example, gamma):
    indices = index_by_hand(example[0].logits.softmax(1), example[1].mask, 0.3, 0.7)
    found = FocalTversky(gamma=gamma)(*example)
    torch.testing.assert_close(found, ((1 - indices) ** gamma).mean(), rtol=0, atol=4e-5)


def test_equal_prices_are_dice(example):
    halves = Tversky(alpha=0.5, beta=0.5)(*example)
    torch.testing.assert_close(halves, Dice(smooth=2e-5)(*example))


def test_a_miss_costs_more_than_a_false_alarm_of_the_same_size():
    mask = torch.zeros(1, 6, dtype=torch.long)
    mask[0, :3] = 1
    sure = torch.nn.functional.one_hot(mask, 2).movedim(-1, 1) * 100.0
    missed, alarmed = sure.clone(), sure.clone()
    missed[0, :, 0] = sure[0, :, 0].flip(0)
    alarmed[0, :, 5] = sure[0, :, 5].flip(0)
    miss, alarm = (Tversky()(Output(logits=x), Target(mask=mask)) for x in (missed, alarmed))
    assert miss.item() == pytest.approx(0.7 / 2.7, abs=1e-4)
    assert alarm.item() == pytest.approx(0.3 / 3.3, abs=1e-4)


def test_a_price_of_zero_is_refused():
    with pytest.raises(ValueError) as error:
        Tversky(alpha=0.0)
    assert str(error.value) == (
        "Tversky: alpha is 0 and beta 0.7. Fix: prices above 0; without one of them an empty or a "
        "full mask would be perfect."
    )


def test_a_power_of_zero_is_refused():
    with pytest.raises(ValueError) as error:
        FocalTversky(gamma=0.0)
    assert str(error.value) == "FocalTversky: gamma is 0. Fix: a power above 0."
