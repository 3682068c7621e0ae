"""Logits and mask as loss terms compare them: full precision, one channel a class, known voxels."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from delineate.contracts import Output, Target

__all__ = ["Pair", "full_precision", "memberships", "pair", "probabilities"]


class Pair(NamedTuple):
    """The two tensors that a mask loss compares."""

    logits: Float[Tensor, "b k *s"]
    mask: Int[Tensor, " b *s"] | Float[Tensor, "b k *s"]


def pair(output: Output, target: Target, *, overlapping: bool, term: str) -> Pair:
    """Logits in full precision beside the mask; what is missing or misshapen is a ValueError."""
    if output.logits is None or target.mask is None:
        missing = "output.logits" if output.logits is None else "target.mask"
        raise ValueError(
            f"{term}: {missing} is None. Fix: leave this term out for image-level tasks."
        )
    logits, mask = output.logits, target.mask
    expected = logits.shape if overlapping else (logits.shape[0], *logits.shape[2:])
    if mask.shape != expected:
        raise ValueError(
            f"{term}: the mask has shape {tuple(mask.shape)} but logits {tuple(logits.shape)} ask "
            f"for {tuple(expected)}. Fix: overlapping={not overlapping} if the masks "
            f"{'hold one id a voxel' if overlapping else 'overlap'}, or the number of classes."
        )
    return Pair(full_precision(logits), mask)


def full_precision(tensor: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Float32 at least: sums over a million voxels overflow in half precision."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def probabilities(logits: Float[Tensor, "b k *s"], *, overlapping: bool) -> Float[Tensor, "b k *s"]:
    """Of each class on its own where masks overlap, else of the one choice among all."""
    return logits.sigmoid() if overlapping else logits.softmax(dim=1)


def memberships(
    pair: Pair, *, overlapping: bool
) -> tuple[Bool[Tensor, "b k *s"], Bool[Tensor, "b k *s"] | Bool[Tensor, "b 1 *s"]]:
    """Which class each voxel belongs to, and which voxels have a verdict at all (not negative)."""
    if overlapping:
        return pair.mask > 0.5, pair.mask >= 0
    shape = (-1, *(1 for _ in pair.logits.shape[2:]))
    classes = torch.arange(pair.logits.shape[1], device=pair.mask.device, dtype=pair.mask.dtype)
    ids = pair.mask[:, None]
    return ids == classes.view(shape), ids >= 0
