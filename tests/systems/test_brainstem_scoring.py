"""Figures of a validation against hand-made ones: levels, accuracy, violations, loss."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from delineate.contracts import Output, Target
from delineate.labels import Class, Labels
from delineate.losses import CrossEntropy, WeightedSum
from delineate.metrics import level_violations
from delineate.plan import Network, Plan
from delineate.systems.brainstem import scoring
from delineate.systems.brainstem.scoring import FIGURES, BrainstemScorer, levels_of

LABELS = Labels(
    classes=(
        Class(name="brainstem", id=9),
        Class(name="midbrain", parent="brainstem"),
        Class(name="pons", parent="brainstem"),
        Class(name="red_nucleus", id=4, parent="midbrain"),
        Class(name="colliculus", id=85, parent="midbrain"),
        Class(name="pontine_nuclei", id=29, parent="pons"),
    )
)
SIZE = (8, 8, 8)
PLAN = Plan(
    channels=tuple("abcde"), labels=LABELS, spacing=(1.0,) * 3, shape=SIZE, crop_nonzero=False,
    normalisation=(), separate_axis=None, patch=SIZE, batch_size=1, memory_gb=0.1,
    network=Network(features=(2,), strides=((1, 1, 1),), kernels=((3, 3, 3),), convolutions=(1,)),
)  # fmt: skip


class Repeat(nn.Module):
    """The image is the logits."""

    def forward(self, image):
        return image


class Cases:
    """Random logits and masks; one case lacks a class, and has voxels without a verdict."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.images = {c: rng.normal(0, 1.5, (5, *SIZE)).astype(np.float32) for c in "xy"}
        self.masks = {c: rng.integers(0, 5, SIZE).astype(np.int8) for c in "xy"}
        self.images["y"][4] -= 50
        self.masks["y"][self.masks["y"] == 4] = 0
        self.masks["y"][:, :2] = -1

    def read_image(self, case):
        return self.images[case]

    def read_mask(self, case):
        return self.masks[case]


def scored(cache, show=None):
    lesson = SimpleNamespace(
        plan=PLAN,
        config=SimpleNamespace(
            predict=SimpleNamespace(overlap=0.5), train=SimpleNamespace(device="cpu")
        ),
        cache=cache,
        split=SimpleNamespace(validation=[SimpleNamespace(id=c) for c in cache.masks]),
        task=SimpleNamespace(loss=WeightedSum({"ce": CrossEntropy()}, {"ce": 2.0})),
    )
    return BrainstemScorer(lesson, show)(Repeat())


def dice(a, b):
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def test_levels_are_nuclei_and_unions_of_less_than_everything():
    assert levels_of(LABELS) == {
        "nuclei": ("red_nucleus", "colliculus", "pontine_nuclei"),
        "subdivisions": ("midbrain", "pons"),
    }
    flat = levels_of(Labels.from_names({"a": 1, "b": 2}))
    assert flat == {"nuclei": ("a", "b"), "subdivisions": ()}


@pytest.mark.parametrize("at_once", [scoring.AT_ONCE, 2 * 5 * 64])
def test_the_figures_are_those_of_the_masks(monkeypatch, at_once):
    monkeypatch.setattr(scoring, "AT_ONCE", at_once)
    cache, shown = Cases(), {}
    scores = scored(cache, shown.__setitem__)
    channels = {"red_nucleus": [2], "colliculus": [3], "pontine_nuclei": [4], "midbrain": [2, 3]}
    found = {name: [] for name in (*channels, "pons", "all", "accuracy")}
    for case, mask in shown.items():
        known = cache.masks[case] >= 0
        ours, truth = mask[known], cache.masks[case][known]
        for name, members in channels.items():
            if np.isin(ours, members).any() or np.isin(truth, members).any():
                found[name].append(dice(np.isin(ours, members), np.isin(truth, members)))
        found["all"].append(dice(ours > 0, truth > 0))
        found["accuracy"].append(np.mean(ours == truth))
    assert len(found["pontine_nuclei"]) == 1
    means = {name: np.mean(values) for name, values in found.items() if values}
    nuclei = np.mean([means[n] for n in ("red_nucleus", "colliculus", "pontine_nuclei")])
    expected = {
        "val_dice": nuclei,
        "val_dice_nuclei": nuclei,
        "val_dice_subdivisions": (means["midbrain"] + means["pontine_nuclei"]) / 2,
        "val_dice_brainstem": means["all"],
        "val_accuracy": means["accuracy"],
        "val_dice/colliculus": means["colliculus"],
        "val_dice/pons": means["pontine_nuclei"],
    }
    assert {name: scores[name] for name in expected} == pytest.approx(expected)
    assert set(FIGURES) <= set(scores)


def test_the_loss_is_that_of_all_voxels_when_they_are_taken_together():
    cache, loss = Cases(), []
    for case in "xy":
        output = Output(logits=torch.from_numpy(cache.images[case])[None])
        loss.append(
            2 * CrossEntropy()(output, Target(mask=torch.from_numpy(cache.masks[case])[None]))
        )
    assert scored(cache)["val_loss"] == pytest.approx(float(torch.stack(loss).mean()), rel=1e-5)


def test_the_rate_of_violations_is_that_of_a_loop_over_voxels():
    cache = Cases()
    violated = voxels = 0
    for case in "xy":
        probs = torch.from_numpy(cache.images[case]).softmax(0).numpy()
        for voxel in np.ndindex(SIZE):
            own, true = probs[(slice(None), *voxel)], cache.masks[case][voxel]
            leaf = own.argmax()
            if true < 0 or (leaf == 0 and true == 0):
                continue
            middle = [own[0], own[1], own[2] + own[3], own[4]]
            whole = [own[0], own[1:].sum()]
            wrong = np.argmax(middle) != (0, 1, 2, 2, 3)[leaf]
            violated += wrong or np.argmax(whole) != (leaf > 0)
            voxels += 1
    assert 0.05 < violated / voxels < 0.6
    assert scored(cache)["val_violations"] == pytest.approx(violated / voxels)


def test_with_nothing_to_find_and_nothing_found_there_is_no_figure_but_a_score_of_0():
    cache = Cases()
    for case in "xy":
        cache.images[case][0] += 99
        cache.masks[case][...] = 0
    scores = scored(cache)
    assert scores["val_dice"] == 0
    assert np.isnan(scores["val_dice_nuclei"])
    assert np.isnan(scores["val_violations"])
    assert scores["val_accuracy"] == 1


def test_a_sure_prediction_violates_nothing_and_overlapping_labels_have_no_rate():
    sure = np.eye(5, dtype=np.float32)[np.random.default_rng(0).integers(0, 5, SIZE)]
    found = level_violations(np.moveaxis(sure, -1, 0), LABELS)
    assert found.violated == 0
    assert found.voxels == np.count_nonzero(sure[..., 0] == 0)
    layers = Labels(classes=LABELS.classes, overlapping=True)
    assert np.isnan(level_violations(np.ones((4, 2, 2)), layers).rate)
