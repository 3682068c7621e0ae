"""SADAAN: published sizes, the literal network's outputs, any image, memory, and precision."""

import importlib
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from delineate.models import SADAAN
from delineate.plan.dry_run import Ledger

NAMES = {
    "attention_maps",
    "feature_responses",
    "alignment_scores",
    "position_priors",
    "absence_logits",
    "presence_probs",
    "confidence_scores",
    "segmentation_logits",
    "segmentation_probs",
}
BIG = (128, 128, 64)


def build(**rest) -> SADAAN:
    torch.manual_seed(0)
    return SADAAN(1, 3, **({"width": 2, "prior_size": 5} | rest))


def weights(structures: int, **rest) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in SADAAN(1, structures, **rest).parameters())


@pytest.mark.parametrize(
    ("structures", "size", "published"),
    [
        (3, BIG, 9_832_658),
        (13, BIG, 20_426_318),
        (13, (64, 64, 32), 8_498_766),
        (5, (64, 64, 64), 8_019_230),
    ],
)
def test_with_a_full_prior_it_has_the_published_number_of_weights(structures, size, published):
    assert weights(structures, prior="full", img_size=size) == published
    voxels, grid = size[0] * size[1] * size[2], 16**3
    assert weights(structures) == published - structures * (voxels - grid)


def test_weights_of_a_coarse_prior_fit_images_of_any_size():
    small, large = build(img_size=(16, 16, 16)), build(img_size=(64, 32, 48))
    large.load_state_dict(small.state_dict(), strict=True)


@pytest.fixture
def literal(monkeypatch: pytest.MonkeyPatch):
    """The published network, layer by layer; the module is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "bench"))
    yield importlib.import_module("sadaan_literal")
    sys.modules.pop("sadaan_literal", None)


def same_weights(literal) -> tuple[nn.Module, SADAAN]:
    """Both networks in double precision with drawn weights and no dropout."""
    size = (32, 16, 16)
    torch.manual_seed(1)
    theirs = literal.Literal(2, 3, size, width=2).double()
    ours = SADAAN(2, 3, prior="full", img_size=size, width=2).double()
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.4)
    for part in (*theirs.modules(), *ours.modules()):
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    ours.load_state_dict(literal.ours_from_literal(theirs.state_dict()), strict=True)
    return theirs, ours


def test_with_equal_weights_it_is_the_published_network(literal):
    theirs, ours = same_weights(literal)
    image = torch.randn(2, 2, 32, 16, 16).double()
    for training in (True, False):  # the running averages of the first serve the second
        expected, found = theirs.train(training)(image), ours.train(training)(image)
        assert set(found.extra) == set(expected) == NAMES
        for name, tensor in expected.items():
            torch.testing.assert_close(found.extra[name], tensor)
        torch.testing.assert_close(found.logits, expected["segmentation_logits"])
        torch.testing.assert_close(found.presence.sigmoid(), expected["presence_probs"])


def test_with_equal_weights_it_has_the_gradients_of_the_published_network(literal):
    theirs, ours = same_weights(literal)
    image = torch.randn(2, 2, 32, 16, 16).double()
    for found in (theirs(image), ours(image).extra):
        loss = found["segmentation_logits"].square().mean() + found["presence_probs"].sum()
        (loss + found["attention_maps"].sum() + found["confidence_scores"].sum()).backward()
    state = theirs.state_dict() | {name: p.grad for name, p in theirs.named_parameters()}
    expected = literal.ours_from_literal(state)
    for name, parameter in ours.named_parameters():
        scale = expected[name].abs().max().item()
        torch.testing.assert_close(
            parameter.grad, expected[name], rtol=0, atol=1e-6 * scale + 1e-9, msg=name
        )


@pytest.mark.parametrize("size", [(9, 17), (20, 17, 5)])
def test_images_of_any_size_have_logits_of_that_size(size):
    model = build(spatial_dims=len(size))
    output = model(torch.randn(2, 1, *size))
    assert output.logits.shape == (2, 3, *size)
    assert output.presence.shape == (2, 3)
    assert output.extra["position_priors"].shape == (3, *size)
    answers = output.extra
    product = answers["attention_maps"] * answers["feature_responses"].sigmoid()
    torch.testing.assert_close(answers["alignment_scores"], product.flatten(2).mean(2))
    torch.testing.assert_close(answers["presence_probs"], output.presence.sigmoid())
    torch.testing.assert_close(answers["segmentation_probs"], output.logits.sigmoid())
    assert set(answers) == NAMES
    assert len(answers) == len(NAMES)


def test_the_coarse_prior_is_interpolated_linearly():
    model = build(spatial_dims=2)
    found = model(torch.randn(1, 1, 12, 7)).extra["position_priors"]
    expected = F.interpolate(model.prior[None], size=(12, 7), mode="bilinear")[0].sigmoid()
    torch.testing.assert_close(found, expected)


def peak(structures: int) -> int:
    """Bytes of a forward and backward pass, counted on shapes."""
    with torch.device("meta"):
        model = SADAAN(1, structures, width=2)
        image = torch.empty(1, 1, 32, 32, 32)
    with Ledger() as ledger:
        output = model(image)
        (output.logits.sum() + output.presence.sum()).backward()
    return ledger.peak


def test_memory_grows_with_the_structures_and_not_with_their_square():
    few, some, many = peak(20), peak(40), peak(80)
    assert (many - some) / (some - few) == pytest.approx(2, rel=0.05)


def test_recomputed_stages_give_the_same_gradients_and_move_the_averages_once():
    image = torch.randn(2, 1, 16, 16, 32)
    plain, lean = build(), build(checkpointing=True)
    for model in (plain, lean):
        torch.manual_seed(0)  # dropout
        output = model(image)
        (output.logits.square().mean() + output.presence.square().sum()).backward()
    for (name, a), b in zip(plain.named_parameters(), lean.parameters(), strict=True):
        if not name.startswith("confidence"):
            torch.testing.assert_close(a.grad, b.grad, msg=name)
    for (name, a), b in zip(plain.named_buffers(), lean.buffers(), strict=True):
        assert torch.equal(a, b), name


def test_in_half_precision_the_answers_are_float32():
    model = build(spatial_dims=2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(torch.randn(2, 1, 32, 16))
    for name in NAMES - {"feature_responses"}:
        assert output.extra[name].dtype == torch.float32, name
    (output.logits.sum() + output.presence.sum()).backward()
    assert all(p.grad.isfinite().all() for p in model.refinement.parameters())


def test_every_weight_is_trained_by_some_answer():
    model = build(spatial_dims=2)
    output = model(torch.randn(2, 1, 32, 32))
    loss = output.logits.square().mean() + output.presence.sum()
    (loss + output.extra["confidence_scores"].sum()).backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"spatial_dims": 4}, "SADAAN: spatial_dims is 4. Fix: 2 or 3."),
        ({"prior": "none"}, "SADAAN: prior is 'none'. Fix: coarse or full."),
        ({"prior_size": 0}, "SADAAN: prior_size is 0. Fix: at least 1."),
        (
            {"prior": "full"},
            "SADAAN: a full prior has a weight per voxel, but img_size is None. "
            "Fix: 3 numbers of voxels, or prior=coarse.",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(wrong, message):
    with pytest.raises(ValueError) as error:
        _grid_of(**wrong)
    assert str(error.value) == message


def _grid_of(**rest) -> tuple[int, ...]:
    # Below the signature, whose types refuse some of these before.
    from delineate.models.sadaan import _grid

    known = {"prior": "coarse", "prior_size": 16, "spatial_dims": 3, "img_size": None}
    return _grid(**(known | rest))


def test_an_image_of_other_dimensions_is_refused():
    with pytest.raises(ValueError) as error:
        build(spatial_dims=2)(torch.randn(1, 1, 16, 16, 16))
    assert str(error.value) == (
        "image: this SADAAN takes 2 spatial axes, got the shape (1, 1, 16, 16, 16). "
        "Fix: pass (b, c, i, j), or another spatial_dims."
    )
