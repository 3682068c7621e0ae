"""Losses by their names: the right value, of the right form of what a network puts out."""

import logging

import pytest
import torch
import torch.nn.functional as F

from delineate.errors import ConfigError
from delineate.systems.spine.learning.loss_choice import NAMES, Case, build_loss
from delineate.systems.spine.networks.activation import choose_form
from delineate.systems.spine.schema.settings import Named

X = torch.randn(3, 1, 6, 5, generator=torch.Generator().manual_seed(0)) * 2
T = (torch.rand(3, 1, 6, 5, generator=torch.Generator().manual_seed(1)) > 0.6).float()
XC = torch.randn(4, 3, generator=torch.Generator().manual_seed(2))
IDS = torch.tensor([0, 2, 1, 2])
TC = F.one_hot(IDS, 3).float()


def form(channels: int = 1, *, out: str | None = None, last: str = "sigmoid", **more):
    said = {"post": (), "is_own": False} | more
    return choose_form(out=out, last=last, channels=channels, **said)


def loss(name: str, *, task: str = "segmentation", weights=None, of=None, **params):
    found = of or form() if task == "segmentation" else of or form(3, last="softmax")
    return build_loss(
        Named(name=name, params=params), Case(form=found, task=task, class_weight=weights)
    )


def soft_dice(p, t, smooth, dims):
    both = 2 * (p * t).sum(dims) + smooth
    return (1 - both / (p.sum(dims) + t.sum(dims) + smooth)).mean()


def test_the_losses_of_masks_are_their_formulas():
    p = X.sigmoid()
    expected = {
        "MSELoss": ((p - T) ** 2).mean(),
        "L1Loss": (p - T).abs().mean(),
        "BCELoss": F.binary_cross_entropy(p, T),
        "BCEWithLogitsLoss": F.binary_cross_entropy_with_logits(X, T),
        "DiceLoss": soft_dice(p, T, 1.0, (2, 3)),
        "DuckNetDiceLoss": soft_dice(p, T, 1e-6, (0, 1, 2, 3)),
        "FocalLoss": (
            T * (1 - p) ** 2 * -p.log() + (1 - T) * p**2 * -(1 - p).log()
        ).mean(),
    }  # fmt: skip
    for name, value in expected.items():
        torch.testing.assert_close(loss(name)(X, T), value, msg=name)


def test_the_losses_of_classes_are_their_formulas():
    q = XC.softmax(1)
    ce = F.cross_entropy(XC, IDS)
    expected = {
        "CrossEntropyLoss": ce,
        "NLLLoss": ce,
        "KLDivLoss": ce,
        "WeightedCrossEntropy": ce,
        "MSELoss": ((q - TC) ** 2).mean(),
        "FocalLoss": ((1 - q[range(4), IDS]) ** 2 * -q[range(4), IDS].log()).mean(),
    }
    for name, value in expected.items():
        torch.testing.assert_close(loss(name, task="classification")(XC, TC), value, msg=name)


def test_every_name_gives_a_finite_number_and_a_gradient():
    for name in NAMES:
        for task, x, t in (("segmentation", X, T), ("classification", XC, TC)):
            values = x.clone().requires_grad_()
            found = loss(name, task=task)(values, t)
            found.backward()
            assert found.isfinite(), name
            assert values.grad is not None, name


def test_an_activation_is_done_once_wherever_it_is_named(caplog: pytest.LogCaptureFixture):
    twice = form(out="sigmoid", last="sigmoid", post=("sigmoid",))
    torch.testing.assert_close(twice.probabilities(X), X.sigmoid())
    with caplog.at_level(logging.WARNING, "delineate"):
        found = loss("BCEWithLogitsLoss", of=twice)
    assert "done once, in the loss" in caplog.text
    torch.testing.assert_close(found(X, T), F.binary_cross_entropy_with_logits(X, T))
    torch.testing.assert_close(
        loss("BCELoss", of=twice)(X, T), F.binary_cross_entropy(X.sigmoid(), T)
    )


def test_a_softmax_of_one_channel_is_a_sigmoid():
    torch.testing.assert_close(form(last="softmax").probabilities(X), X.sigmoid())
    assert form(last="identity").final == "sigmoid"
    assert form(3, last="identity").final == "softmax"


def test_values_that_a_network_of_ones_own_has_activated_become_logits_where_wanted():
    done = form(inner="sigmoid", is_own=True)
    p = X.sigmoid()
    torch.testing.assert_close(done.probabilities(p), p)
    found = loss("BCEWithLogitsLoss", of=done)(p, T)
    torch.testing.assert_close(found, F.binary_cross_entropy(p, T), rtol=1e-4, atol=1e-5)


def test_cross_entropy_of_a_single_channel_is_not_nothing(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING, "delineate"):
        found = loss("CrossEntropyLoss")(X, T)
    assert "taken as BCEWithLogitsLoss" in caplog.text
    torch.testing.assert_close(found, F.cross_entropy(torch.cat((0 * X, X), 1), T[:, 0].long()))


def test_weights_of_classes():
    weights = (1.0, 2.0, 4.0)
    found = loss("WeightedCrossEntropy", task="classification", weights=weights)(XC, TC)
    torch.testing.assert_close(found, F.cross_entropy(XC, IDS, weight=torch.tensor(weights)))
    found = loss("BCEWithLogitsLoss", weights=(1.0, 3.0))(X, T)
    wanted = F.binary_cross_entropy_with_logits(X, T, pos_weight=torch.tensor(3.0))
    torch.testing.assert_close(found, wanted)
    with pytest.raises(ConfigError, match=r"class_weight: DiceLoss has no weights"):
        loss("DiceLoss", weights=(1.0, 3.0))
    with pytest.raises(ConfigError, match="3 numbers for 2 classes"):
        loss("BCEWithLogitsLoss", weights=weights)


def test_a_combined_loss_is_the_weighted_sum():
    parts = [{"name": "DiceLoss", "weight": 0.5}, {"name": "FocalLoss", "params": {"gamma": 0}}]
    found = loss("CombinedLoss", losses=parts)(X, T)
    wanted = 0.5 * loss("DiceLoss")(X, T) + loss("BCEWithLogitsLoss")(X, T)
    torch.testing.assert_close(found, wanted)
    with pytest.raises(ConfigError, match="CombinedLoss: wants losses"):
        loss("CombinedLoss")


def test_our_own_losses_are_there_by_name():
    dice = soft_dice(X.sigmoid(), T, 1e-5, (2, 3))
    torch.testing.assert_close(loss("Dice")(X, T), dice)
    found = loss("delineate.losses.CrossEntropy", task="classification")(XC, TC)
    torch.testing.assert_close(found, F.cross_entropy(XC, IDS))
    torch.testing.assert_close(loss("torch.nn.BCELoss")(X, T), loss("BCELoss")(X, T))


def test_mistakes_are_told():
    with pytest.raises(ConfigError, match=r"'DiceLos' is unknown\. Did you mean 'DiceLoss'"):
        loss("DiceLos")
    with pytest.raises(ConfigError, match="unknown argument 'smoth'"):
        loss("DiceLoss", smoth=1)
    with pytest.raises(ConfigError, match="reduction: mean"):
        loss("MSELoss", reduction="none")(X, T)
