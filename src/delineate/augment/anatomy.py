"""Bending that anatomy constrains: each structure moves by its own share."""

from collections.abc import Mapping

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
        intervals: between control points along the patch's longest side.
        strength: largest displacement of a control point over the distance between two.
        labels: what gives channels their names; None if `shares` names channels.
    """

    def __init__(
        self,
        *,
        shares: Mapping[str | int, float],
        intervals: int = 8,
        strength: Range = (0.05, 0.35),
        probability: float = 0.2,
        labels: Labels | None = None,
    ) -> None:
        for name, share in shares.items():
            check_number(self, f"the share of {name}", share, low=0, high=1)
        check_number(self, "intervals", intervals, low=1)
        check_range(self, "strength", strength, low=0, high=0.4)
        check_probability(self, probability)
        self.elastic = Elastic(intervals=intervals, strength=strength, probability=probability)
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
        freedom = self._freedom(frame.mask, frame.before(points))
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

    def _around(self, freedom: Float[Tensor, "*s"], frame: Frame) -> Float[Tensor, "1 *k"]:
        """The mean about each control point, by the weights that it has on voxels."""
        bases = bending_bases(frame, intervals=self.elastic.intervals)
        means = [b.T / b.sum(0)[:, None].clamp(min=1e-6) for b in bases]
        return along_axes(freedom.expand(frame.patch)[None], [m.to(freedom) for m in means])
