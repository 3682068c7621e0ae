"""A network's own view of how right it is, compared with how right it turns out to be.

Per structure, the answer is right by

    r = Dice of the mask of a structure that is present and found so, 1 for one that is absent and
        found so, 0 where presence is answered wrongly,

with masks and presence cut at a probability of 1/2, and r is not differentiated. The loss is the
mean over structures of

    KL(r || c) + [presence is answered wrongly] (p - 1/2)^2,

c the confidence and p the probability of presence: the first teaches c, and the second makes wrong
answers less sure of themselves.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from delineate.contracts import Output, Target
from delineate.losses.compare import Pair, full_precision, memberships, pair

__all__ = ["Confidence"]


class Confidence:
    """How far confidence is from the truth; 0 where it is not known what is present.

    The confidence is a probability, `confidence_scores` (b, k) among `output.extra`. Presence is
    what `target.presence` declares, else what the mask shows.

    Args:
        overlapping: sigmoid and multi-hot masks instead of softmax and ids.
    """

    def __init__(self, *, overlapping: bool = False) -> None:
        self.overlapping = overlapping

    def __call__(self, output: Output, target: Target) -> Float[Tensor, ""]:
        """The loss of one batch."""
        both = pair(output, target, overlapping=self.overlapping, term="Confidence")
        if output.presence is None or "confidence_scores" not in output.extra:
            lacking = "presence" if output.presence is None else "extra['confidence_scores']"
            raise ValueError(
                f"Confidence: the network returned no {lacking}. Fix: take one that says what is "
                "present and how sure it is, such as SADAAN, or leave this term out."
            )
        logits, sure = map(full_precision, (output.presence, output.extra["confidence_scores"]))
        with torch.no_grad():
            dice, shown, seen = _found(both, overlapping=self.overlapping)
            truth = _presence(target, shown, seen)
            _check(truth, logits, sure)
            wrong = (logits > 0) != (truth == 1)
            right = torch.where(truth == 1, dice, 1.0) * ~wrong
        known = (truth >= 0).to(logits.dtype)
        judged = known * seen
        penalty = (wrong * (logits.sigmoid() - 0.5) ** 2 * known).sum() / known.sum().clamp(min=1)
        return penalty + (_divergence(right, sure) * judged).sum() / judged.sum().clamp(min=1)


_TINY = 1e-30


def _found(
    both: Pair, *, overlapping: bool
) -> tuple[Float[Tensor, "b k"], Bool[Tensor, "b k"], Bool[Tensor, "b k"]]:
    """Dice of the cut mask (1 where both are empty), what is shown, and if any voxel tells."""
    first = 0 if overlapping else 1
    member, known = memberships(both, overlapping=overlapping)
    member = member[:, first:].flatten(2)
    if overlapping:
        chosen = both.logits > 0
    else:
        ids = both.logits.argmax(1)
        chosen, _ = memberships(Pair(both.logits, ids), overlapping=False)
    chosen = (chosen & known)[:, first:].flatten(2)
    total = chosen.sum(2) + member.sum(2)
    common = (chosen & member).sum(2)
    dice = torch.where(total > 0, 2 * common / total.clamp(min=1), 1.0).to(both.logits.dtype)
    return dice, member.any(2), known.flatten(2).any(2).expand_as(dice)


def _presence(
    target: Target, shown: Bool[Tensor, "b k"], seen: Bool[Tensor, "b k"]
) -> Int[Tensor, "b n"] | Float[Tensor, "b n"]:
    """1 present, 0 absent, -1 unknown."""
    if target.presence is not None and target.presence.dim() == 2:
        return target.presence
    return torch.where(seen, shown.long(), -1)


def _check(truth: Tensor, logits: Tensor, sure: Tensor) -> None:
    if not truth.shape == logits.shape == sure.shape:
        raise ValueError(
            f"Confidence: what is present has the shape {tuple(truth.shape)}, the answer "
            f"{tuple(logits.shape)} and the confidence {tuple(sure.shape)}. "
            "Fix: one column for each structure."
        )


def _divergence(right: Float[Tensor, "b k"], sure: Float[Tensor, "b k"]) -> Float[Tensor, "b k"]:
    """Kullback-Leibler divergence of two choices of yes or no."""
    entropy = -torch.xlogy(right, right) - torch.xlogy(1 - right, 1 - right)
    yes, no = sure.clamp(min=_TINY).log(), (1 - sure).clamp(min=_TINY).log()
    return -right * yes - (1 - right) * no - entropy
