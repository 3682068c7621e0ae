"""What pasting from one sample of a batch into another has in common: the donor, and the truth.

The donor is another slot of the same batch, as it was handed in. So a sample depends on (seed,
step, slot) and on its donor, whatever else is in the batch.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor

from delineate.augment.classes import count_voxels, members_of_presence
from delineate.augment.distance import mend_distances
from delineate.augment.transform import Draw, Draws
from delineate.contracts import Batch, Target
from delineate.labels import Labels

__all__ = ["Sample", "donor_of", "paste"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One slot of a batch."""

    image: Float[Tensor, "c *s"]
    mask: Tensor
    """Ids (*s), or (k, *s) 0/1."""
    spacing: tuple[float, ...]


def donor_of(slot: int, draw: Draw, size: int) -> int:
    """The slot that this one takes from, in a batch of this size: any other, all equally likely."""
    return (slot + 1 + int(draw["donor"] * (size - 1))) % size


def paste(
    batch: Batch,
    draws: Draws,
    merge: Callable[[Sample, Sample, Draw], Sample | None],
    *,
    part: object,
    labels: Labels | None,
) -> Batch:
    """The batch after each drawn sample merged with its donor, presence and distances being true.

    Presence follows what the patch shows: a class that comes in is present, one that was seen and
    is no longer seen is absent, and of one that was never seen nothing changes. Distances follow
    `mend_distances`.

    Args:
        merge: the new sample from (own, donor, draw), or None if there is nothing to paste.
        part: the transform that asks, for its name in an error.
    """
    # Before a look at the draws: what can never be pasted is refused in the first step.
    _check(batch, part)
    if not any(draws):
        return batch
    merged = _merge_all(batch, draws, merge)
    assert batch.target.mask is not None, "checked above"
    image, mask = batch.image.clone(), batch.target.mask.clone()
    for slot, sample in merged.items():
        image[slot], mask[slot] = sample.image, sample.mask
    target = Target(
        mask=mask,
        presence=_presence(batch, mask, list(merged), labels),
        distance=_distances(batch, mask, list(merged)),
    )
    return replace(batch, image=image, target=target)


def _check(batch: Batch, part: object) -> None:
    name = type(part).__name__
    if batch.target.mask is None:
        raise ValueError(
            f"{name}: the batch has no masks, which tell what to paste. Fix: leave {name} out."
        )
    if len(batch.image) < 2:
        raise ValueError(
            f"{name}: a batch of one has no other sample to paste from. "
            f"Fix: a batch size of 2 or more, or leave {name} out."
        )


def _merge_all(
    batch: Batch, draws: Draws, merge: Callable[[Sample, Sample, Draw], Sample | None]
) -> dict[int, Sample]:
    assert batch.target.mask is not None, "checked before"
    samples = [
        Sample(image=image, mask=mask, spacing=batch.spacing)
        for image, mask in zip(batch.image, batch.target.mask, strict=True)
    ]
    merged = {}
    for slot, draw in enumerate(draws):
        if draw is not None:
            donor = samples[donor_of(slot, draw, len(samples))]
            sample = merge(samples[slot], donor, draw)
            if sample is not None:
                merged[slot] = sample
    return merged


def _presence(batch: Batch, mask: Tensor, slots: list[int], labels: Labels | None) -> Tensor | None:
    """After the paste; class ids of whole images stay as they are."""
    presence, before = batch.target.presence, batch.target.mask
    if presence is None or presence.dim() == 1 or before is None:
        return presence
    dims = len(batch.spacing)
    overlapping = mask.dim() == dims + 2
    columns = members_of_presence(presence.shape[1], labels, overlapping=overlapping)
    presence = presence.clone()
    for slot in slots:
        was, now = (set(_seen(m[slot], dims)) for m in (before, mask))
        for column, members in enumerate(columns):
            if now & set(members):
                presence[slot, column] = 1
            elif was & set(members):
                presence[slot, column] = 0
    return presence


def _seen(mask: Tensor, dims: int) -> list[int]:
    return count_voxels(mask, dims).nonzero()[:, 0].tolist()


def _distances(batch: Batch, mask: Tensor, slots: list[int]) -> Tensor | None:
    distance, before = batch.target.distance, batch.target.mask
    if distance is None or before is None or not slots:
        return distance
    distance = distance.clone()
    for slot in slots:
        distance[slot] = mend_distances(distance[slot], before[slot], mask[slot], batch.spacing)
    return distance
