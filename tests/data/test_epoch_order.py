"""Numbers that count on through the epochs, drawn by weight."""

from collections import Counter

import numpy as np
import pytest

from delineate.data import epoch_order
from delineate.data.epoch_order import Order, WeightedOrder


def test_numbers_count_on_through_the_epochs():
    order = Order(range(5), shuffle=True, seed=1, even=True)
    first, second = list(order), list(order)
    assert sorted(first) == [0, 1, 2, 3, 4]
    assert sorted(second) == [5, 6, 7, 8, 9]
    order.set_epoch(0)
    assert list(order) == first


def test_items_come_by_weight_and_a_second_time_with_another_number():
    order = WeightedOrder([1.0, 0.0, 3.0], draws=400, replacement=True, seed=0)
    numbers = list(order)
    assert len(order) == len(numbers) == len(set(numbers)) == 400
    counts = Counter(number % 3 for number in numbers)
    assert counts[1] == 0
    assert 0.65 < counts[2] / 400 < 0.85
    assert not set(numbers) & set(order)


def test_without_replacement_each_item_comes_once():
    order = WeightedOrder([1.0, 2.0, 3.0, 0.0], draws=3, replacement=False, seed=0)
    for epoch in range(3):
        assert sorted(order) == [4 * epoch, 4 * epoch + 1, 4 * epoch + 2]


def test_processes_share_what_one_would_draw(monkeypatch: pytest.MonkeyPatch):
    def order() -> WeightedOrder:
        return WeightedOrder(np.arange(1, 8).tolist(), draws=9, replacement=True, seed=3)

    alone = list(order())
    parts = []
    for rank in range(2):
        monkeypatch.setattr(epoch_order, "_process", lambda rank=rank: (rank, 2))
        parts.append(list(order()))
        assert len(order()) == 5
    woven = [number for pair in zip(*parts, strict=True) for number in pair]
    assert woven[:9] == alone


@pytest.mark.parametrize("weights", [[0.0, 0.0], [1.0, -1.0], [float("nan"), 1.0]])
def test_weights_that_mean_nothing_are_refused(weights: list[float]):
    with pytest.raises(ValueError, match="weights are numbers of at least 0"):
        WeightedOrder(weights, draws=1, replacement=True, seed=0)
