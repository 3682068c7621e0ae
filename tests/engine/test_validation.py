import numpy as np
import pytest
import torch
from torch import nn

from delineate.engine import validation
from delineate.engine.validation import Scorer
from delineate.labels import Labels
from delineate.losses import Boundary, CrossEntropy, Ramp, WeightedSum
from delineate.plan import Network, Plan

LABELS = Labels.from_names({"a": 1})
NETWORK = Network(
    features=(2, 4), strides=((1, 1), (2, 2)), kernels=((3, 3), (3, 3)), convolutions=(1, 1)
)
PLAN = Plan(
    channels=("image",), labels=LABELS, spacing=(1.0, 1.0), shape=(8, 8), crop_nonzero=False,
    normalisation=(), separate_axis=None, patch=(8, 8), batch_size=1, network=NETWORK,
    memory_gb=0.1,
)  # fmt: skip


class Bright(nn.Module):
    """Class 1 where the image is positive."""

    def forward(self, image):
        return torch.cat((-image, image), dim=1)


class Cases:
    """Prepared cases whose image is +1 where the mask is 1, but for a share of wrong voxels."""

    def __init__(self, wrong):
        self.wrong = wrong

    def read_mask(self, case):
        mask = np.zeros((8, 8), np.int8)
        mask[:4] = 1
        return mask

    def read_image(self, case):
        image = self.read_mask(case).astype(np.float32) * 2 - 1
        image[0, : self.wrong[case]] *= -1
        return image[None]


def scorer(wrong, seconds=None):
    return Scorer(Cases(wrong), list(wrong), PLAN, device="cpu", overlap=0.5, seconds=seconds)


def test_the_score_is_the_mean_dice_of_the_cases():
    scores = scorer({"x": 0, "y": 8})(Bright())
    expected = (1 + 2 * 24 / (24 + 32)) / 2
    assert scores["val_dice/a"] == pytest.approx(expected)
    assert scores["val_dice"] == pytest.approx(expected)


def test_a_scoring_that_takes_too_long_stays_with_the_cases_it_came_to(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(validation.time, "monotonic", lambda: now[0])
    slow = scorer({"x": 0, "y": 0, "z": 8}, seconds=1.5)
    read = slow.cache.read_mask

    def one_second(case):
        now[0] += 0.5
        return read(case)

    monkeypatch.setattr(slow.cache, "read_mask", one_second)
    assert slow(Bright())["val_dice"] == 1.0
    assert slow.cases == ("x", "y")
    now[0] = 0.0
    slow(Bright())
    assert slow.cases == ("x", "y")


def test_a_resumed_scorer_scores_the_cases_that_were_chosen(monkeypatch):
    first, again = (scorer({"x": 0, "y": 8, "z": 8}, seconds=0.0) for _ in range(2))
    assert first(Bright())["val_dice"] == 1.0
    again.load_state_dict(first.state_dict())
    assert again.cases == ("x",)
    assert again(Bright())["val_dice"] == 1.0


def test_the_loss_is_that_of_whole_cases_with_the_weights_of_the_end():
    class Measured(Cases):
        def read_distance(self, case, start, *, out):
            out[...] = np.where(self.read_mask(case) > 0, -2.0, 3.0)[None] * [[[-1.0]], [[1.0]]]

    terms = {"entropy": CrossEntropy(), "boundary": Boundary()}
    loss = WeightedSum(terms, {"entropy": 0.5, "boundary": Ramp(start=0, end=2, finish=0.5)})
    cases = Measured({"x": 0, "y": 8})
    scored = Scorer(cases, ["x", "y"], PLAN, device="cpu", overlap=0.5, seconds=None, loss=loss)
    found = scored(Bright())["val_loss"]
    wrong, right = np.log(1 + np.exp(2.0)), np.log(1 + np.exp(-2.0))
    entropy = (right + (56 * right + 8 * wrong) / 64) / 2
    inside = 1 / (1 + np.exp(-2.0))  # probability of the true class
    each = {True: inside * -2 + 0, False: (1 - inside) * 3}
    rows = [[(True, 32), (False, 32)], [(True, 24), (False, 32)]]
    boundary = np.mean(
        [
            (sum(each[is_in] * n for is_in, n in row) + lost * (1 - inside) * -2) / 64
            for row, lost in zip(rows, (0, 8), strict=True)
        ]
    )
    assert found == pytest.approx(0.5 * entropy + 2 * boundary, rel=1e-5)
