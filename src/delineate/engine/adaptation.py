"""One weight made to fit another shape, by rules that keep what the network computes.

- Input channels: by name where both sides name them, else by position. One channel from many gets
  their sum, so that a grey picture is seen as it was in every colour; a channel that is new gets
  the mean of all. Where channels are added, the kernel is scaled by (theirs / ours): the same
  picture in every channel gives the response that it gave.
- Classes: rows by class name where both sides name them; a class that is new keeps its fresh start.
- Kernels: a larger one is filled up with zeros around it (the same function); depth-wise ones are
  interpolated, as MedNeXt starts its large kernels. The outer taps of a larger one are added to the
  nearest tap that stays, so that what is constant is answered as before.
- From 2-D to 3-D: repeated along the last axis and divided by its length. Transposed kernels, whose
  taps do not overlap, are repeated only.
Whatever else differs, a width above all, does not fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from delineate.models.mednext import enlarge_kernel

__all__ = ["Ends", "Place", "Role", "Unfit", "fit", "spell"]


class Unfit(Exception):
    """A weight cannot take the place of another; the text says why."""


Place = Literal["first", "inner", "head"]
"""Whether a weight reads the image, gives the classes, or neither."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """What the two ends of a network mean; None where that is not known."""

    channels: tuple[str, ...] | None = None
    """The name of each input channel."""
    classes: tuple[str, ...] | None = None
    """The name of each output channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What a weight of the network is there for."""

    place: Place
    transposed: bool = False


def fit(own: Tensor, source: Tensor, role: Role, *, ours: Ends, theirs: Ends) -> tuple[Tensor, str]:
    """The source in the shape of `own`, and what was done to it, '' for nothing; or Unfit."""
    if source.is_complex():
        raise Unfit("complex numbers there")
    done: list[str] = []
    weight = source.detach().to(own.dtype)
    if weight.dim() == 4 and own.dim() == 5:
        weight = _inflate(weight, own.shape[4], role, done)
    if role.place == "first":
        weight = _channels(weight, own.shape[1], done, ours=ours.channels, theirs=theirs.channels)
    weight = _kernel(weight, own, role, done)
    if role.place == "head":
        weight = _classes(weight, own, done, ours=ours.classes, theirs=theirs.classes)
    if weight.shape != own.shape:
        raise Unfit(f"{spell(source.shape)} there, {spell(own.shape)} here")
    return weight, "; ".join(done)


def spell(shape: Sequence[int]) -> str:
    """A shape as people write it; a single number has none."""
    return "x".join(str(size) for size in shape) or "1"


def _inflate(weight: Tensor, depth: int, role: Role, done: list[str]) -> Tensor:
    inflated = weight[..., None].repeat(1, 1, 1, 1, depth)
    if role.transposed and depth % 2:
        raise Unfit("a transposed kernel of 2-D whose taps would overlap in 3-D")
    done.append(f"2-D to 3-D, depth {depth}")
    return inflated if role.transposed else inflated / depth


def _channels(
    weight: Tensor,
    count: int,
    done: list[str],
    *,
    ours: tuple[str, ...] | None,
    theirs: tuple[str, ...] | None,
) -> Tensor:
    """The kernel that reads the image, for `count` channels."""
    known = weight.shape[1]
    origin: list[int | None] = [i if i < known else None for i in range(count)]
    named = _origins(ours, theirs, count, known)
    if named is not None and any(i is not None for i in named):
        origin = named
    elif count == 1 and known > 1:
        done.append(f"sum of {known} channels")
        return weight.sum(1, keepdim=True)
    if origin == list(range(known)):
        return weight
    scale = min(1.0, known / count)
    mean = weight.mean(1)
    columns = [mean if i is None else weight[:, i] for i in origin]
    new = origin.count(None)
    words = [f"channels {known} to {count} by {'position' if origin is not named else 'name'}"]
    words += [f"{new} new from the mean"] if new else []
    words += [f"all x {scale:.3g}"] if scale < 1 else []
    done.append(", ".join(words))
    return torch.stack(columns, 1) * scale


def _classes(
    weight: Tensor,
    own: Tensor,
    done: list[str],
    *,
    ours: tuple[str, ...] | None,
    theirs: tuple[str, ...] | None,
) -> Tensor:
    """The rows of a head in the order of our classes; new classes keep their own."""
    origin = _origins(ours, theirs, len(own), len(weight))
    if origin is None:
        if len(weight) != len(own):
            raise Unfit(f"{len(weight)} classes there, {len(own)} here, not both with names")
        return weight
    if origin == list(range(len(weight))):
        return weight
    if weight.shape[1:] != own.shape[1:]:
        raise Unfit(f"{spell(weight.shape)} there, {spell(own.shape)} here")
    if all(i is None for i in origin):
        raise Unfit("no class has the same name on both sides")
    fresh = [name for name, i in zip(ours or (), origin, strict=True) if i is None]
    done.append("classes by name" + (f", fresh: {', '.join(fresh)}" if fresh else ""))
    rows = [own[n] if i is None else weight[i] for n, i in enumerate(origin)]
    return torch.stack(rows)


def _origins(
    ours: tuple[str, ...] | None, theirs: tuple[str, ...] | None, count: int, known: int
) -> list[int | None] | None:
    """For each of ours the place of the same name among theirs; None where names are not known."""
    if ours is None or theirs is None or (len(ours), len(theirs)) != (count, known):
        return None
    places = {_plain(name): i for i, name in enumerate(theirs)}
    return [places.get(_plain(name)) for name in ours]


def _plain(name: str) -> str:
    return name.casefold().replace("_", " ").replace("-", " ").strip()


def _kernel(weight: Tensor, own: Tensor, role: Role, done: list[str]) -> Tensor:
    """The taps of a kernel for the size that the network has."""
    have, want = tuple(weight.shape[2:]), tuple(own.shape[2:])
    if have == want or len(have) != len(want):
        return weight
    if not all((n - m) % 2 == 0 and n % 2 for n, m in zip(have, want, strict=True)):
        raise Unfit(f"kernel {spell(have)} there, {spell(want)} here")
    done.append(f"kernel {spell(have)} to {spell(want)}")
    if own.shape[1] == 1 and role.place == "inner" and all(map(int.__le__, have, want)):
        return enlarge_kernel(weight, want)
    for axis, size in enumerate(want, start=2):
        weight = _resize(weight, axis, size)
    return weight


def _resize(weight: Tensor, axis: int, size: int) -> Tensor:
    """Zeros around the taps of one axis, or the outer taps added to the outermost that stay."""
    cut = (weight.shape[axis] - size) // 2
    if cut <= 0:
        zeros = weight.new_zeros([-cut if a == axis else n for a, n in enumerate(weight.shape)])
        return torch.cat((zeros, weight, zeros), axis)
    kept = weight.narrow(axis, cut, size).clone()
    kept.narrow(axis, 0, 1).add_(weight.narrow(axis, 0, cut).sum(axis, keepdim=True))
    kept.narrow(axis, size - 1, 1).add_(
        weight.narrow(axis, cut + size, cut).sum(axis, keepdim=True)
    )
    return kept
