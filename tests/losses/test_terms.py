"""What every loss owes: gradient, minimum, absent classes, ignored voxels, half precision.

The losses are those that the room exports: one that is not among the cases below fails a test.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from delineate import losses
from delineate.contracts import Output, Target
from delineate.labels import Class, Labels
from delineate.losses import (
    AbsenceSuppression,
    AttentionSupervision,
    Boundary,
    Confidence,
    CrossEntropy,
    Dice,
    Edges,
    Focal,
    FocalTversky,
    GeneralisedDice,
    HausdorffLike,
    Hierarchical,
    HierarchicalFocal,
    Presence,
    PresentCrossEntropy,
    PresentDice,
    PresentFocal,
    TopK,
    Tversky,
)

NO_TERMS = {"Ramp", "Term", "WeightedSum", "as_term"}
K = 3
SPACES = {2: (3, 2), 3: (2, 3, 2)}
SPACING = (0.8, 1.5, 3.0)
CONFIDENT = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])[..., None].expand(2, K, 4)
"""Masks of structures that fill a scan or are absent from it."""


def family(overlapping):
    """Three leaves, or two and the background, of which two are one organ."""
    first = (Class(name="skin", id=9),) if overlapping else ()
    parts = (Class(name="core", id=1, parent="organ"), Class(name="rim", id=2, parent="organ"))
    return Labels(classes=(*first, Class(name="organ"), *parts), overlapping=overlapping)


def of_both_kinds(make, name):
    return {name: make(overlapping=False), f"{name} of overlapping": make(overlapping=True)}


TERMS: dict[str, Any] = {
    **of_both_kinds(Dice, "dice"),
    "dice with background": Dice(background=True),
    "dice over the batch": Dice(batch=True),
    **of_both_kinds(GeneralisedDice, "generalised dice"),
    "generalised dice over the batch": GeneralisedDice(batch=True, background=False),
    **of_both_kinds(Tversky, "tversky"),
    "tversky over the batch": Tversky(batch=True, background=True),
    **of_both_kinds(FocalTversky, "focal tversky"),
    "steep focal tversky": FocalTversky(gamma=2.0, batch=True),
    **of_both_kinds(CrossEntropy, "cross-entropy"),
    "weighted cross-entropy": CrossEntropy(weights=(0.5, 1.0, 2.0)),
    "weighted binary cross-entropy": CrossEntropy(overlapping=True, weights=(0.5, 1.0, 2.0)),
    **of_both_kinds(Focal, "focal"),
    "root focal": Focal(gamma=0.5, alpha=0.25),
    "weighted focal": Focal(weights=(0.5, 1.0, 2.0), alpha=0.25),
    "weighted focal of overlapping": Focal(
        overlapping=True, weights=(0.5, 1.0, 2.0), alpha=0.25, gamma=1.5
    ),
    **of_both_kinds(TopK, "top-k"),
    "half of top-k": TopK(share=0.5),
    **of_both_kinds(Boundary, "boundary"),
    **of_both_kinds(HausdorffLike, "hausdorff"),
    "hausdorff with a short reach": HausdorffLike(alpha=1.0, reach_mm=1.6),
    "hierarchical": Hierarchical(labels=family(False)),
    "hierarchical of overlapping": Hierarchical(labels=family(True), weights=(1.0, 3.0)),
    "hierarchical without dice": Hierarchical(labels=family(False), dice=0.0),
    "hierarchical focal": HierarchicalFocal(labels=family(False)),
    "hierarchical focal of overlapping": HierarchicalFocal(labels=family(True), gamma=0.5),
    **of_both_kinds(Edges, "edges"),
    "presence": Presence(),
    "presence of one class": Presence(),
    **of_both_kinds(AbsenceSuppression, "absence"),
    **of_both_kinds(PresentDice, "dice of the present"),
    **of_both_kinds(PresentCrossEntropy, "cross-entropy of the present"),
    **of_both_kinds(PresentFocal, "focal of the present"),
    "root focal of the present": PresentFocal(gamma=0.5, alpha=0.6, overlapping=True),
    "attention": AttentionSupervision(overlapping=True),
    "confidence": Confidence(overlapping=True),
}
ZERO_AT_BEST = {name for name in TERMS if not name.startswith("boundary")}
OF_MASKS = [name for name in TERMS if not name.startswith(("presence", "confidence"))]

every_term = pytest.mark.parametrize("name", TERMS)
every_mask_term = pytest.mark.parametrize("name", OF_MASKS)
both_dims = pytest.mark.parametrize("dims", [2, 3])


@dataclass
class Situation:
    """A term with the tensor that it is differentiated by and what that is compared with."""

    term: Any
    logits: Tensor
    target: Target
    image_level: bool

    def loss(self, logits, target=None):
        return self.term(self.output(logits), self.target if target is None else target)

    def output(self, logits):
        """Whatever the term reads, as a function of one tensor."""
        if isinstance(self.term, Confidence):  # presence and confidence; the masks are right
            mask = (2 * CONFIDENT - 1).to(logits.device, logits.dtype)
            extra = {"confidence_scores": in_full(logits[:, K:]).sigmoid()}
            return Output(logits=mask, presence=logits[:, :K], extra=extra)
        if isinstance(self.term, AttentionSupervision):
            return Output(logits=logits, extra={"attention_maps": in_full(logits).sigmoid()})
        return Output(logits=None, presence=logits) if self.image_level else Output(logits=logits)


def in_full(logits):
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def situation(name, dims=3, seed=0):
    """Two cases; the second lacks the last class."""
    term = TERMS[name]
    generator = torch.Generator().manual_seed(seed)
    if name.startswith("presence"):
        logits = torch.randn(2, K, generator=generator, dtype=torch.double)
        truth = [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]] if name == "presence" else [2, 0]
        return Situation(term, logits, Target(mask=None, presence=torch.tensor(truth)), True)
    if name == "confidence":
        logits = torch.randn(2, 2 * K, generator=generator, dtype=torch.double)
        target = Target(mask=CONFIDENT.double(), presence=CONFIDENT[..., 0].double())
        return Situation(term, logits, target, True)
    logits = torch.randn(2, K, *SPACES[dims], generator=generator, dtype=torch.double)
    if term.overlapping:
        mask = (torch.rand(logits.shape, generator=generator) > 0.5).double()
        mask[1, -1] = 0
    else:
        mask = torch.randint(0, K, (2, *SPACES[dims]), generator=generator)
        mask[1] = mask[1].clamp(max=K - 2)
    return Situation(term, logits, target_of(term, mask), False)


def target_of(term, mask):
    """The mask with distances in mm where the term wants them."""
    if not getattr(term, "needs_distance", False):
        return Target(mask=mask)
    member = [mask == k for k in range(K)] if not term.overlapping else list(mask.unbind(1))
    maps = [[signed_distance(np.asarray(case) > 0) for case in of_class] for of_class in member]
    return Target(mask=mask, distance=torch.tensor(np.array(maps)).movedim(0, 1))


def signed_distance(inside):
    """To the nearest voxel of the other kind, in mm, negative inside; 0 without any inside."""
    if not inside.any() or inside.all():
        return np.zeros(inside.shape)
    spacing = SPACING[: inside.ndim]
    outer = distance_transform_edt(~inside, spacing)
    return outer - distance_transform_edt(inside, spacing)


def sure_of(case, by=60.0):
    """Logits that are certain and right."""
    if not case.image_level:
        mask = case.target.mask
        if case.term.overlapping:
            return (2 * mask - 1) * by
        return torch.nn.functional.one_hot(mask, K).movedim(-1, 1).double() * by
    truth = case.target.presence
    if isinstance(case.term, Confidence):
        return torch.cat((2 * truth - 1, torch.ones_like(truth)), 1) * by
    if truth.dim() == 1:
        return torch.nn.functional.one_hot(truth, K).double() * by
    return (2 * truth.double() - 1) * by


def differentiated(case, target=None):
    """The loss and its gradient."""
    logits = case.logits.clone().requires_grad_()
    value = case.loss(logits, target)
    value.backward()
    return value.detach(), logits.grad


def test_every_exported_loss_is_among_the_cases():
    tested = {type(term).__name__ for term in TERMS.values()}
    assert tested == set(losses.__all__) - NO_TERMS


@both_dims
@every_term
def test_the_gradient_agrees_with_finite_differences(name, dims):
    case = situation(name, dims)
    logits = case.logits.requires_grad_()
    assert torch.autograd.gradcheck(case.loss, logits, fast_mode=dims == 3)


@both_dims
@every_term
def test_a_perfect_prediction_is_the_minimum(name, dims):
    case = situation(name, dims)
    sure = sure_of(case)
    best = case.loss(sure)
    assert case.loss(case.logits) > best + 1e-4
    generator = torch.Generator().manual_seed(1)
    for scale in (1.0, 30.0, 100.0, 300.0):
        moved = sure + scale * torch.randn(sure.shape, generator=generator, dtype=torch.double)
        assert case.loss(moved) >= best - 1e-12
    assert case.loss(-sure) > best


@pytest.mark.parametrize("name", sorted(ZERO_AT_BEST))
def test_a_perfect_prediction_costs_nothing_and_has_a_finite_gradient(name):
    case = situation(name)
    case.logits = sure_of(case, by=200.0).float()
    value, slope = differentiated(case)
    assert value.item() == pytest.approx(0, abs=1e-6)
    assert slope.isfinite().all()


@both_dims
@every_mask_term
def test_classes_absent_everywhere_give_a_finite_loss_and_gradient(name, dims):
    case = situation(name, dims)
    empty = target_of(case.term, torch.zeros_like(case.target.mask))
    value, slope = differentiated(case, empty)
    assert value.isfinite()
    assert slope.isfinite().all()


@both_dims
@every_mask_term
def test_ignored_voxels_change_nothing_and_have_no_gradient(name, dims):
    case = situation(name, dims)
    mask, distance = case.target.mask.clone(), case.target.distance
    mask[..., 0] = -1
    hidden = Target(mask=mask, distance=distance)
    value, slope = differentiated(case, hidden)
    assert slope[..., 0].abs().max() == 0
    noisy = case.logits.clone()
    noisy[..., 0] = 100 * torch.randn_like(noisy[..., 0])
    torch.testing.assert_close(value, case.loss(noisy, hidden))
    seen = Target(mask=mask[..., 1:], distance=None if distance is None else distance[..., 1:])
    torch.testing.assert_close(value, case.loss(case.logits[..., 1:], seen))


@every_term
def test_a_wholly_ignored_target_is_finite_with_no_gradient(name):
    case = situation(name)
    mask, presence = (
        None if t is None else torch.full_like(t, -1)
        for t in (case.target.mask, case.target.presence)
    )
    hidden = Target(mask=mask, presence=presence, distance=case.target.distance)
    value, slope = differentiated(case, hidden)
    assert value.isfinite()
    assert slope.abs().max() == 0


@every_term
def test_inside_autocast_the_loss_is_float32(name):
    case = situation(name)
    half = case.logits.to(torch.bfloat16).requires_grad_()
    mask, distance, presence = (
        t.float() if t is not None and t.is_floating_point() else t
        for t in (case.target.mask, case.target.distance, case.target.presence)
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = case.loss(half, Target(mask=mask, distance=distance, presence=presence))
    value.backward()
    assert value.dtype == torch.float32
    assert half.grad.isfinite().all()
    exact = case.loss(half.detach().double())
    torch.testing.assert_close(value.detach().double(), exact, rtol=1e-5, atol=1e-6)


@every_term
def test_no_value_is_read_back_from_the_device_and_none_lives_elsewhere(name):
    # Meta tensors have no values: whatever would make a GPU wait for the processor fails on them.
    case = situation(name)
    away = case.target.to("meta")
    logits = case.logits.to("meta").requires_grad_()
    value = case.loss(logits, away)
    value.backward()
    assert value.is_meta
    assert logits.grad.is_meta


@every_mask_term
def test_a_mask_of_the_wrong_kind_says_which_argument_to_change(name):
    term = TERMS[name]
    logits = torch.zeros(2, K, 4, 3)
    wrong = torch.zeros(2, 4, 3, dtype=torch.long) if term.overlapping else torch.zeros(2, K, 4, 3)
    with pytest.raises(ValueError) as error:
        term(Output(logits=logits), Target(mask=wrong))
    assert str(error.value).startswith(f"{type(term).__name__}: the mask has shape")
    assert f"Fix: overlapping={not term.overlapping} if the masks" in str(error.value)


@every_mask_term
def test_small_id_types_are_taken_as_they_come(name):
    case = situation(name)
    if not case.term.overlapping:
        small = Target(mask=case.target.mask.to(torch.int8), distance=case.target.distance)
        torch.testing.assert_close(case.loss(case.logits, small), case.loss(case.logits))


@every_mask_term
def test_an_image_level_batch_is_refused(name):
    term = TERMS[name]
    with pytest.raises(ValueError) as error:
        term(Output(logits=torch.zeros(1, K, 2, 2)), Target(mask=None))
    assert str(error.value) == (
        f"{type(term).__name__}: target.mask is None. "
        "Fix: leave this term out for image-level tasks."
    )
