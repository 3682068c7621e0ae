"""Named terms, weighted and summed, over every resolution that the network returns.

Deep supervision: resolution i (0 the finest) counts 1 / 2^i, and the counts are scaled to sum to 1.
Coarser masks and distances take the first voxel of each block, the one that a strided convolution
is centred on. A term with the attribute `image_level = True` looks at no voxel: it is evaluated
once. One with `needs_distance = True` asks the engine for `Target.distance`.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from math import ceil

import torch
from jaxtyping import Float
from torch import Tensor, nn

from delineate.contracts import Output, Target
from delineate.losses.compare import full_precision

__all__ = ["Term", "Weight", "WeightedSum", "as_term"]

Term = Callable[[Output, Target], Tensor]
"""One scalar that says how far an output is from a target."""
Weight = float | Callable[[float], float]
"""A factor, or a function of the run's progress (0 to 1) such as `Ramp`."""


class WeightedSum:
    """The weighted terms of a loss by name; their sum is what is trained.

    Terms see logits in full precision and run outside autocast, their own arithmetic included.

    Args:
        terms: what is compared, by the name under which it is logged.
        weights: one per term, under the same names.
    """

    def __init__(self, terms: Mapping[str, Term], weights: Mapping[str, Weight]) -> None:
        if not terms or set(terms) != set(weights):
            raise ValueError(
                f"WeightedSum: the terms are {sorted(terms)} but the weights are for "
                f"{sorted(weights)}. Fix: at least one term, and one weight for each."
            )
        self.terms = dict(terms)
        self.weights = dict(weights)

    @property
    def needs_distance(self) -> bool:
        """Whether any term compares with `Target.distance`."""
        return any(getattr(term, "needs_distance", False) for term in self.terms.values())

    def __call__(
        self, output: Output, target: Target, *, progress: float = 0.0
    ) -> dict[str, Float[Tensor, ""]]:
        """Each term, already weighted.

        Args:
            progress: the share of the run that is over, for weights that move.
        """
        precise = _precise(output)
        with _no_autocast(precise):
            return {
                name: _at(self.weights[name], progress) * _over_resolutions(term, precise, target)
                for name, term in self.terms.items()
            }


def as_term(loss: Term | nn.Module) -> Term:
    """A Term from a PyTorch or MONAI loss module on (logits, mask); a Term passes through.

    The mask goes in as int64 ids with -1 where ignored (so `CrossEntropyLoss(ignore_index=-1)`), or
    as the multi-hot floats that overlapping labels have. A MONAI loss with `to_onehot_y` gets the
    channel axis that it expects in ids. The module runs in full precision, on the logits' device.
    """
    if not isinstance(loss, nn.Module):
        return loss
    # MONAI's word for ids that come with a channel axis of one, also inside of a combined loss.
    with_channel = any(getattr(part, "to_onehot_y", False) for part in loss.modules())

    def term(output: Output, target: Target) -> Tensor:
        if output.logits is None or target.mask is None:
            missing = "logits" if output.logits is None else "mask"
            raise ValueError(
                f"{type(loss).__name__} compares logits with a mask; this batch has no {missing}. "
                "Fix: use a term for image-level tasks."
            )
        mask = target.mask if target.mask.is_floating_point() else target.mask.long()
        if with_channel and mask.dim() < output.logits.dim():
            mask = mask[:, None]
        with _no_autocast(output):
            return loss.to(output.logits.device)(full_precision(output.logits), mask)

    return term


def _at(weight: Weight, progress: float) -> float:
    return weight(progress) if callable(weight) else weight


def _precise(output: Output) -> Output:
    """The output in full precision: converted once, not by each term."""
    return replace(
        output,
        logits=None if output.logits is None else full_precision(output.logits),
        deep=tuple(map(full_precision, output.deep)),
        presence=None if output.presence is None else full_precision(output.presence),
    )


def _no_autocast(output: Output) -> AbstractContextManager[object]:
    """Products in the terms stay in full precision on the output's device."""
    tensor = output.presence if output.logits is None else output.logits
    device = "cpu" if tensor is None else tensor.device.type
    # Tensors of shapes alone, on the device 'meta', know no precision to leave.
    available = torch.amp.is_autocast_available(device)
    return torch.autocast(device, enabled=False) if available else nullcontext()


def _over_resolutions(term: Term, output: Output, target: Target) -> Tensor:
    """The weighted mean of the term over the resolutions, each half as heavy as the last."""
    if not output.deep or getattr(term, "image_level", False):
        return term(output, target)
    weights = [0.5**i for i in range(1 + len(output.deep))]
    loss = weights[0] * term(replace(output, deep=()), target)
    for weight, logits in zip(weights[1:], output.deep, strict=True):
        coarse = replace(output, logits=logits, deep=())
        loss = loss + weight * term(coarse, _coarser(target, tuple(logits.shape[2:])))
    return loss / sum(weights)


def _coarser(target: Target, size: tuple[int, ...]) -> Target:
    """The target at a lower resolution."""
    return replace(
        target, mask=_subsample(target.mask, size), distance=_subsample(target.distance, size)
    )


def _subsample(tensor: Tensor | None, size: tuple[int, ...]) -> Tensor | None:
    if tensor is None:
        return None
    full = tensor.shape[-len(size) :]
    steps = [_step(f, s) for f, s in zip(full, size, strict=True)]
    if None in steps:
        raise ValueError(
            f"deep supervision: the mask of {tuple(full)} voxels is no multiple of the deep "
            f"logits' {size}. Fix: return deep logits at whole fractions of the resolution."
        )
    return tensor[(..., *(slice(None, None, step) for step in steps))]


def _step(full: int, size: int) -> int | None:
    """Every how many voxels one is taken: a whole fraction, or halved as often, rounded up."""
    if full % size == 0:
        return full // size
    halved = (2**n for n in range(1, full.bit_length()))
    return next((step for step in halved if ceil(full / step) == size), None)
