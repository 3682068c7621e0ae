"""Bending that anatomy constrains: each structure moves by its own share, each place by its own."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from delineate.augment.bending import bend, bending_bases, bending_control
from delineate.augment.classes import channels_of
from delineate.augment.geometry import Elastic
from delineate.augment.limits import check_number, check_probability, check_range
from delineate.augment.separable import along_axes
from delineate.augment.transform import Draw, Frame, Geometric, Range
from delineate.labels import Labels

__all__ = ["AnatomicElastic"]


class AnatomicElastic(Geometric):
    """Elastic bending that is weaker in some structures than in others; it never folds.

    Each control point moves by its draw times the mean share of the tissue around it, weighted as
    the spline weighs it. So the field stays a cubic spline of control points that move less than
    in `Elastic`: smooth, and one to one by the same theorem. A structure narrower than an interval
    takes part of its share from its neighbours; more intervals follow anatomy more closely.

    Args:
        shares: 0 (stays as it is) to 1 (bends freely) by class name or channel; "background" is
            one, a union stands for its members unless they are named too, and the rest is 1.
            Where masks overlap the smallest counts.
        calm: how much less tissue moves by where it lies in its case: a list of shares for each
            axis, evenly spaced from its beginning to its end and linear in between. They add up,
            and what is left of 1 is a further factor. An axis may have the list [0, 0].
        intervals: between control points along the patch's longest side.
        strength: largest displacement of a control point over the distance between two.
        labels: what gives channels their names; None if `shares` names channels.
    """

    def __init__(
        self,
        *,
        shares: Mapping[str | int, float],
        calm: Sequence[Sequence[float]] = (),
        intervals: int = 8,
        strength: Range = (0.05, 0.35),
        probability: float = 0.2,
        labels: Labels | None = None,
    ) -> None:
        for name, share in shares.items():
            check_number(self, f"the share of {name}", share, low=0, high=1)
        _check_calm(self, calm)
        check_number(self, "intervals", intervals, low=1)
        check_range(self, "strength", strength, low=0, high=0.4)
        check_probability(self, probability)
        self.elastic = Elastic(intervals=intervals, strength=strength, probability=probability)
        self.calm = tuple(tuple(map(float, line)) for line in calm)
        channels = {name: channels_of(self, [name], labels) for name in shares}
        # The narrowest name comes last and wins.
        order = sorted(shares, key=lambda name: -len(channels[name]))
        self.shares = {c: float(shares[name]) for name in order for c in channels[name]}

    def draw(self, rng: np.random.Generator, frame: Frame) -> Draw | None:
        """A strength, and the seed of the control points."""
        return self.elastic.draw(rng, frame)

    def pull(self, points: list[Tensor], draw: Draw, frame: Frame) -> list[Tensor]:
        """Each point moved by the field at its place, weakened by the tissue around it."""
        if frame.mask is None:
            raise ValueError(
                "AnatomicElastic: the batch has no masks, which tell where structures are. "
                "Fix: use Elastic."
            )
        intervals = self.elastic.intervals
        control = bending_control(draw, frame, intervals=intervals)
        points_before = frame.before(points)
        freedom = self._freedom(frame.mask, points_before)
        if self.calm:
            freedom = freedom * (1 - self._calm(points_before, frame))
        around = self._around(freedom, frame).to(control)
        return bend(points, control * around, frame, intervals=intervals)

    def growth(self, draw: Draw) -> float:
        """Bending has no size of its own."""
        return 1.0

    def reach(self, frame: Frame) -> tuple[float, ...]:
        """That of free bending."""
        return self.elastic.reach(frame)

    def _freedom(self, mask: Tensor, points: list[Tensor]) -> Float[Tensor, "*s"]:
        """The share at each point of what was read, by the nearest voxel of its mask."""
        size = mask.shape[mask.dim() - len(points) :]
        index = tuple(
            (p + (n - 1) / 2).round().long().clamp(0, n - 1)
            for p, n in zip(points, size, strict=True)
        )
        if mask.dim() == len(points):
            highest = max([*self.shares, int(mask.max())])
            # One entry more: ignored voxels, -1, look up the last.
            table = [self.shares.get(c, 1.0) for c in range(highest + 1)]
            return torch.tensor([*table, 1.0], device=mask.device)[mask[index].long()]
        named = torch.ones(size, device=mask.device)
        for channel, share in self.shares.items():
            named = torch.where(mask[channel] > 0, named.clamp(max=share), named)
        return named[index]

    def _calm(self, points: list[Tensor], frame: Frame) -> Float[Tensor, "*s"]:
        """What the place of each point in its case takes."""
        if frame.place is None or len(self.calm) != len(points):
            raise ValueError(
                f"AnatomicElastic: calm has {len(self.calm)} lists for {len(points)} axes of "
                f"patches whose place is {'unknown' if frame.place is None else 'known'}. "
                "Fix: one list an axis, and batches with their place; or leave calm out."
            )
        total = points[0].new_zeros(())
        axes = zip(self.calm, points, frame.place, frame.read, strict=True)
        for line, point, (begin, end), voxels in axes:
            share = (begin + end) / 2 + point * ((end - begin) / voxels)
            total = total + _between(share, line)
        return total

    def _around(self, freedom: Float[Tensor, "*s"], frame: Frame) -> Float[Tensor, "1 *k"]:
        """The mean about each control point, by the weights that it has on voxels."""
        bases = bending_bases(frame, intervals=self.elastic.intervals)
        means = [b.T / b.sum(0)[:, None].clamp(min=1e-6) for b in bases]
        return along_axes(freedom.expand(frame.patch)[None], [m.to(freedom) for m in means])


def _between(share: Float[Tensor, "*s"], line: tuple[float, ...]) -> Float[Tensor, "*s"]:
    """The values of an evenly spaced list at shares of its length; at its ends beyond them."""
    values = share.new_tensor(line)
    place = share.clamp(0, 1) * (len(line) - 1)
    before = place.floor().clamp(max=len(line) - 2)
    index = before.long()
    return torch.lerp(values[index], values[index + 1], place - before)


def _check_calm(part: object, calm: Sequence[Sequence[float]]) -> None:
    for line in calm:
        if len(line) < 2:
            raise ValueError(
                f"AnatomicElastic: calm has the list {list(line)}. Fix: two or more shares."
            )
        for share in line:
            check_number(part, "a share of calm", share, low=0, high=1)
    check_number(part, "the sum of calm", sum(map(max, calm)) if calm else 0.0, low=0, high=1)
