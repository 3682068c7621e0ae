"""Named terms, weighted and summed, over every resolution that the network returns.

Deep supervision: resolution i (0 the finest) counts 1 / 2^i, and the counts are scaled to sum to 1.
Coarser masks take the first voxel of each block, the one that a strided convolution is centred on.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from jaxtyping import Float
from torch import Tensor, nn

from delineate.contracts import Output, Target

__all__ = ["Term", "WeightedSum", "as_term"]

Term = Callable[[Output, Target], Tensor]
"""One scalar that says how far an output is from a target."""


class WeightedSum:
    """The weighted terms of a loss by name; their sum is what is trained.

    Args:
        terms: what is compared, by the name under which it is logged.
        weights: one per term, under the same names.
    """

    def __init__(self, terms: Mapping[str, Term], weights: Mapping[str, float]) -> None:
        if not terms or set(terms) != set(weights):
            raise ValueError(
                f"WeightedSum: the terms are {sorted(terms)} but the weights are for "
                f"{sorted(weights)}. Fix: at least one term, and one weight for each."
            )
        self.terms = dict(terms)
        self.weights = dict(weights)

    def __call__(self, output: Output, target: Target) -> dict[str, Float[Tensor, ""]]:
        """Each term, already weighted."""
        return {
            name: self.weights[name] * _over_resolutions(term, output, target)
            for name, term in self.terms.items()
        }


def as_term(loss: Term | nn.Module) -> Term:
    """A Term from a PyTorch or MONAI loss module on (logits, mask); a Term passes through.

    The mask goes in as int64 ids with -1 where ignored (so `CrossEntropyLoss(ignore_index=-1)`), or
    as the multi-hot floats that overlapping labels have.
    """
    if not isinstance(loss, nn.Module):
        return loss

    def term(output: Output, target: Target) -> Tensor:
        if output.logits is None or target.mask is None:
            missing = "logits" if output.logits is None else "mask"
            raise ValueError(
                f"{type(loss).__name__} compares logits with a mask; this batch has no {missing}. "
                "Fix: use a term for image-level tasks."
            )
        mask = target.mask
        return loss(output.logits, mask if mask.is_floating_point() else mask.long())

    return term


def _over_resolutions(term: Term, output: Output, target: Target) -> Tensor:
    """The weighted mean of the term over the resolutions, each half as heavy as the last."""
    if not output.deep:
        return term(output, target)
    weights = [0.5**i for i in range(1 + len(output.deep))]
    loss = weights[0] * term(replace(output, deep=()), target)
    for weight, logits in zip(weights[1:], output.deep, strict=True):
        coarse = replace(output, logits=logits, deep=())
        loss = loss + weight * term(coarse, _coarser(target, tuple(logits.shape[2:])))
    return loss / sum(weights)


def _coarser(target: Target, size: tuple[int, ...]) -> Target:
    """The target at a lower resolution that divides the full one."""
    return replace(
        target, mask=_subsample(target.mask, size), distance=_subsample(target.distance, size)
    )


def _subsample(tensor: Tensor | None, size: tuple[int, ...]) -> Tensor | None:
    if tensor is None:
        return None
    full = tensor.shape[-len(size) :]
    if any(f % s for f, s in zip(full, size, strict=True)):
        raise ValueError(
            f"deep supervision: the mask of {tuple(full)} voxels is no multiple of the deep "
            f"logits' {size}. Fix: return deep logits at whole fractions of the resolution."
        )
    steps = (slice(None, None, f // s) for f, s in zip(full, size, strict=True))
    return tensor[(..., *steps)]
