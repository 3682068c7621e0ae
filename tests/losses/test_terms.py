"""What every loss term owes: gradient, minimum, absent classes, ignored voxels, half precision."""

import pytest
import torch

from delineate.contracts import Output, Target
from delineate.losses import CrossEntropy, Dice

TERMS = {
    "dice": Dice(),
    "dice with background": Dice(background=True),
    "dice over the batch": Dice(batch=True),
    "dice of overlapping": Dice(overlapping=True),
    "cross-entropy": CrossEntropy(),
    "weighted cross-entropy": CrossEntropy(weights=(0.5, 1.0, 2.0)),
    "binary cross-entropy": CrossEntropy(overlapping=True),
    "weighted binary cross-entropy": CrossEntropy(overlapping=True, weights=(0.5, 1.0, 2.0)),
}
SPACES = {2: (4, 3), 3: (3, 4, 2)}
K = 3

every_term = pytest.mark.parametrize("term", TERMS.values(), ids=TERMS.keys())
both_dims = pytest.mark.parametrize("dims", [2, 3])


def sample(term, dims, *, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, K, *SPACES[dims], generator=generator, dtype=torch.double)
    if term.overlapping:
        mask = (torch.rand(logits.shape, generator=generator) > 0.5).double()
    else:
        mask = torch.randint(0, K, (2, *SPACES[dims]), generator=generator)
    return logits, mask


def loss(term, logits, mask):
    return term(Output(logits=logits), Target(mask=mask))


def sure_of(term, mask):
    """Logits that are certain and right."""
    if term.overlapping:
        return (2 * mask - 1) * 60
    return torch.nn.functional.one_hot(mask, K).movedim(-1, 1).double() * 60


@both_dims
@every_term
def test_the_gradient_agrees_with_finite_differences(term, dims):
    logits, mask = sample(term, dims)
    assert torch.autograd.gradcheck(lambda x: loss(term, x, mask), logits.requires_grad_())


@both_dims
@every_term
def test_a_perfect_prediction_is_the_minimum_and_zero(term, dims):
    logits, mask = sample(term, dims)
    assert loss(term, sure_of(term, mask), mask).item() == pytest.approx(0, abs=1e-6)
    assert loss(term, logits, mask) > 0.1


@both_dims
@every_term
def test_classes_absent_everywhere_give_a_finite_loss_and_gradient(term, dims):
    logits, mask = sample(term, dims)
    logits.requires_grad_()
    value = loss(term, logits, torch.zeros_like(mask))
    value.backward()
    assert value.isfinite()
    assert logits.grad.isfinite().all()


@both_dims
@every_term
def test_ignored_voxels_change_nothing(term, dims):
    logits, mask = sample(term, dims)
    hidden = mask.clone()
    hidden[..., 0] = -1
    noisy = logits.clone()
    noisy[..., 0] = 100 * torch.randn_like(noisy[..., 0])
    value = loss(term, logits, hidden)
    torch.testing.assert_close(value, loss(term, noisy, hidden))
    torch.testing.assert_close(value, loss(term, logits[..., 1:], mask[..., 1:]))


@every_term
def test_a_wholly_ignored_mask_is_finite_with_no_gradient(term):
    logits, mask = sample(term, 3)
    logits.requires_grad_()
    value = loss(term, logits, torch.full_like(mask, -1))
    value.backward()
    assert value.isfinite()
    assert logits.grad.abs().max() == 0


@every_term
def test_inside_autocast_the_loss_is_float32(term):
    logits, mask = sample(term, 3)
    half = logits.to(torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(term, half, mask.float() if term.overlapping else mask)
    assert value.dtype == torch.float32
    torch.testing.assert_close(
        value.double(), loss(term, half.double(), mask), rtol=1e-5, atol=1e-6
    )


@every_term
def test_a_mask_of_the_wrong_kind_says_which_argument_to_change(term):
    logits, _ = sample(term, 2)
    wrong = torch.zeros(2, 4, 3, dtype=torch.long) if term.overlapping else torch.zeros(2, K, 4, 3)
    with pytest.raises(ValueError) as error:
        loss(term, logits, wrong)
    assert f"Fix: overlapping={not term.overlapping} if the masks" in str(error.value)


@every_term
def test_small_id_types_are_taken_as_they_come(term):
    logits, mask = sample(term, 3)
    if not term.overlapping:
        torch.testing.assert_close(
            loss(term, logits, mask.to(torch.int8)), loss(term, logits, mask)
        )


@every_term
def test_an_image_level_batch_is_refused(term):
    with pytest.raises(ValueError) as error:
        term(Output(logits=torch.zeros(1, K, 2, 2)), Target(mask=None))
    assert str(error.value) == (
        f"{type(term).__name__}: target.mask is None. "
        "Fix: leave this term out for image-level tasks."
    )
