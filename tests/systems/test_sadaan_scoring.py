import pytest
import torch

from delineate.contracts import Output, Target
from delineate.engine.clock import Clock
from delineate.systems.sadaan.plateau import EarlyStop
from delineate.systems.sadaan.scoring import Tally, agreement

SURE, NOT = 9.0, -9.0


def answer(masks: list[list[int]], presence: list[float]) -> Output:
    """One sample of structures with four voxels each."""
    logits = torch.where(torch.tensor(masks) > 0, 2.0, -2.0).view(1, len(masks), 2, 2, 1)
    return Output(logits=logits, presence=torch.tensor([presence]))


def truth(masks: list[list[int]], presence: list[int]) -> Target:
    mask = torch.tensor(masks).float().view(1, len(masks), 2, 2, 1)
    return Target(mask=mask, presence=torch.tensor([presence]).float())


def test_dice_is_hard_gated_by_presence_and_counts_absent_structures():
    found = [[1, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0]]
    true = [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0]]
    output = answer(found, [SURE, NOT, SURE, NOT, NOT])
    right, dice = agreement(output, truth(true, [1, 0, 0, 0, 1]), threshold=0.5)
    assert dice[0].tolist() == pytest.approx([2 / 3, 1, 0, 1, 0])
    assert right[0].tolist() == [1, 1, 0, 1, 0]


def test_the_threshold_decides_what_is_there():
    output = answer([[1, 0, 0, 0]], [0.0])
    target = truth([[1, 0, 0, 0]], [1])
    assert agreement(output, target, threshold=0.3)[1].item() == 1
    assert agreement(output, target, threshold=0.6)[1].item() == 0


def test_presence_that_is_not_declared_counts_by_the_mask():
    output = answer([[1, 0, 0, 0], [0, 0, 0, 0]], [SURE, SURE])
    right, _ = agreement(output, truth([[1, 0, 0, 0], [0, 0, 0, 0]], [-1, -1]), threshold=0.5)
    assert right[0].tolist() == [1, 0]


def test_the_tally_is_no_loss_and_gives_the_means_since_the_last_look():
    tally = Tally(threshold=0.5)
    target = truth([[1, 1, 0, 0], [0, 0, 0, 0]], [1, 0])
    assert tally(answer([[1, 1, 0, 0], [0, 0, 0, 0]], [SURE, NOT]), target).item() == 0
    tally(answer([[0, 0, 1, 1], [0, 0, 0, 0]], [SURE, SURE]), target)
    other = Tally(threshold=0.5)
    other.load_state_dict(tally.state_dict())
    for one in (tally, other):
        assert one.take() == (0.75, 0.75)
    tally(answer([[1, 1, 0, 0], [1, 1, 1, 1]], [SURE, SURE]), target)
    assert tally.take() == (0.5, 0.5)


def test_what_is_only_looked_at_is_not_tallied():
    tally = Tally(threshold=0.5)
    target = truth([[1, 1, 0, 0]], [1])
    tally(answer([[1, 1, 0, 0]], [SURE]), target)
    with torch.inference_mode():
        tally(answer([[0, 0, 1, 1]], [NOT]), target)
    assert tally.take() == (1, 1)


def test_training_ends_when_the_validation_loss_stands_still():
    clock = Clock(steps=100)
    stop = EarlyStop(clock, patience=2)
    for loss in (1.0, 0.5, 0.6):
        stop.observe({"val_loss": loss, "val_dice": 0.1})
    assert not clock.done
    again = EarlyStop(clock, patience=2)
    again.load_state_dict(stop.state_dict())
    again.observe({"val_loss": 0.5, "val_dice": 0.9})
    assert clock.done
