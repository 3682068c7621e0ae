"""Losses that are a mean over the voxels of the structures that are present, and of no others.

With e the cross-entropy of one decision per voxel and structure, -(g log p + (1 - g) log(1 - p)):
PresentCrossEntropy is the mean over present structures of the mean over voxels of e,
PresentFocal that of alpha (1 - exp(-e))^gamma e in the structure, 1 - alpha instead of alpha around
it, and AttentionSupervision the first of a network's attention maps, over all structures.

What is absent is left to AbsenceSuppression. Among exclusive classes p is the softmax, and the
background is no structure. A structure is present where the mask shows it.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from delineate.contracts import Output, Target
from delineate.losses.compare import Pair, full_precision, memberships, pair

__all__ = ["AttentionSupervision", "PresentCrossEntropy", "PresentFocal"]


class PresentCrossEntropy:
    """Cross-entropy of present structures, each counting the same; 0 where none is.

    Args:
        overlapping: sigmoid and multi-hot masks instead of softmax and ids.
    """

    def __init__(self, *, overlapping: bool = False) -> None:
        self.overlapping = overlapping

    def __call__(self, output: Output, target: Target) -> Float[Tensor, ""]:
        """The loss of one batch."""
        both = pair(output, target, overlapping=self.overlapping, term="PresentCrossEntropy")
        member, known = _structures(both, overlapping=self.overlapping)
        loss_bk = _means(_entropies(both, member, overlapping=self.overlapping), known)
        present = _shown(member)
        return (loss_bk * present).sum() / present.sum().clamp(min=1)


class PresentFocal:
    """Cross-entropy of present structures that cares less for voxels that are already right.

    Args:
        alpha: factor of voxels of the structure, 1 - alpha that of others.
        gamma: how fast a voxel loses its weight as its probability rises.
        overlapping: sigmoid and multi-hot masks instead of softmax and ids.
    """

    def __init__(
        self, *, alpha: float = 0.25, gamma: float = 2.0, overlapping: bool = False
    ) -> None:
        if gamma < 0:
            raise ValueError(f"PresentFocal: gamma is {gamma:g}. Fix: a power of at least 0.")
        if not 0 < alpha < 1:
            raise ValueError(f"PresentFocal: alpha is {alpha:g}. Fix: a share between 0 and 1.")
        self.alpha = alpha
        self.gamma = gamma
        self.overlapping = overlapping

    def __call__(self, output: Output, target: Target) -> Float[Tensor, ""]:
        """The loss of one batch."""
        both = pair(output, target, overlapping=self.overlapping, term="PresentFocal")
        member, known = _structures(both, overlapping=self.overlapping)
        # Seven tensors of the logits' size in between are made again in the backward pass.
        loss = checkpoint(self._each, both, member, use_reentrant=False, preserve_rng_state=False)
        loss_bk = _means(loss, known)
        present = _shown(member)
        return (loss_bk * present).sum() / present.sum().clamp(min=1)

    def _each(self, both: Pair, member: Bool[Tensor, "b k *s"]) -> Float[Tensor, "b k *s"]:
        entropy = _entropies(both, member, overlapping=self.overlapping)
        # 1 - p without cancellation; kept off 0, where the slope of a root is infinite.
        doubt = (-torch.expm1(-entropy)).clamp(min=_TINY)
        factor = torch.where(member, self.alpha, 1 - self.alpha).to(entropy.dtype)
        return doubt**self.gamma * entropy * factor


class AttentionSupervision:
    """Cross-entropy of attention maps with the masks of present structures; 0 where none is.

    It divides by all structures, present or not: the fewer there are, the less it weighs. The maps
    are probabilities, `attention_maps` (b, k, *s) among `output.extra`.

    Args:
        overlapping: multi-hot masks instead of ids.
    """

    def __init__(self, *, overlapping: bool = False) -> None:
        self.overlapping = overlapping

    def __call__(self, output: Output, target: Target) -> Float[Tensor, ""]:
        """The loss of one batch."""
        both = pair(output, target, overlapping=self.overlapping, term="AttentionSupervision")
        if "attention_maps" not in output.extra:
            raise ValueError(
                "AttentionSupervision: output.extra has no attention_maps. Fix: take a network "
                "that returns them, such as SADAAN, or leave this term out."
            )
        member, known = _structures(both, overlapping=self.overlapping)
        maps = full_precision(output.extra["attention_maps"])[:, -member.shape[1] :]
        right = torch.where(member, maps, 1 - maps)
        loss_bk = _means(-(right + _TINY).log(), known)
        present = _shown(member)
        return (loss_bk * present).sum() / present.numel()


_TINY = 1e-30


def _structures(
    both: Pair, *, overlapping: bool
) -> tuple[Bool[Tensor, "b k *s"], Bool[Tensor, "b k *s"] | Bool[Tensor, "b 1 *s"]]:
    """Which structure each voxel belongs to, and which voxels have a verdict at all."""
    member, known = memberships(both, overlapping=overlapping)
    return member[:, 0 if overlapping else 1 :], known


def _shown(member: Bool[Tensor, "b k *s"]) -> Bool[Tensor, "b k"]:
    return member.flatten(2).any(2)


def _entropies(
    both: Pair, member: Bool[Tensor, "b k *s"], *, overlapping: bool
) -> Float[Tensor, "b k *s"]:
    """Cross-entropy of each voxel's decision for or against each structure."""
    if overlapping:
        truth = member.to(both.logits.dtype)
        return F.binary_cross_entropy_with_logits(both.logits, truth, reduction="none")
    log = both.logits.log_softmax(dim=1)[:, 1:]
    return -torch.where(member, log, (-torch.expm1(log)).clamp(min=_TINY).log())


def _means(
    loss: Float[Tensor, "b k *s"], known: Bool[Tensor, "b k *s"] | Bool[Tensor, "b 1 *s"]
) -> Float[Tensor, "b k"]:
    """The mean of each structure over the voxels with a verdict; 0 where none has one."""
    space = tuple(range(2, loss.dim()))
    return torch.where(known, loss, 0.0).sum(space) / known.sum(space).clamp(min=1)
