"""Weighted sums of windows, as deep along one axis as a window is: a ring of rows.

Windows come in the order of that axis, and there in the order of the others. When the next one
begins further on, no later window reaches the rows before it: they are complete, are handed on, and
their place is taken by rows to come. What a window is the first to reach is written, not added: a
sum costs memory traffic and little else, and nothing has to be set to zero.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from delineate.geometry import Box
from delineate.inference.allocator import zeros

__all__ = ["Sums"]

LARGEST_HALF = 65504.0


class Sums:
    """The weighted mean of the windows' scores, once all windows that hold a voxel are added.

    Args:
        channels: The network's.
        box: What is summed, in voxels of the scan; whole along `axis`.
        axis: The axis along which windows come and rows are released.
        depth: Voxels of a window along that axis.
        kind: Single or half precision; products are in single precision either way.
        device: Where the sums are kept; windows from another device are fetched.
    """

    def __init__(
        self,
        channels: int,
        box: Box,
        *,
        axis: int,
        depth: int,
        kind: torch.dtype = torch.float32,
        device: torch.device,
    ) -> None:
        self.channels = channels
        self.box = box
        self.axis = axis
        shape = [stop - start for start, stop in box]
        self.depth = shape[axis] = min(depth, shape[axis])
        self._sums = zeros((channels, *shape), kind, device)
        self._order = (axis, *(a for a in range(len(box)) if a != axis))
        self._reached = _Reached(len(box))
        self._landing: Tensor | None = None

    def add(self, logits: Tensor, start: Sequence[int], weights: Sequence[Tensor]) -> None:
        """Add a window (k, *patch) that begins at `start`; what lies outside the box is left out.

        Args:
            logits: Are not changed.
            start: In voxels of the scan; may be negative.
            weights: One line per axis.
        """
        logits = self._fetch(logits)
        inside, target, lines = [], [], []
        for a, line, (low, high) in zip(start, weights, self.box, strict=True):
            first, last = max(a, low), min(a + len(line), high)
            inside.append(slice(first - a, last - a))
            target.append(slice(first - low, last - low))
            lines.append(line[first - a : last - a])
        scores, weight = logits[(slice(None), *inside)], _product(lines)
        edges = self._reached.by(
            [start[a] for a in self._order], [target[a].stop for a in self._order]
        )
        for fresh, part in _split(target, dict(zip(self._order, edges, strict=True))):
            own = [
                slice(p.start - t.start, p.stop - t.start)
                for p, t in zip(part, target, strict=True)
            ]
            self._place(part, scores[(slice(None), *own)], weight[tuple(own)], fresh=fresh)

    def _place(self, part: list[slice], scores: Tensor, weight: Tensor, *, fresh: bool) -> None:
        done = 0
        for rows in self._in_ring(part[self.axis]):
            number = rows.stop - rows.start
            where = [rows if a == self.axis else s for a, s in enumerate(part)]
            self._sum(
                self._sums[(slice(None), *where)],
                scores.narrow(1 + self.axis, done, number),
                weight.narrow(self.axis, done, number),
                fresh=fresh,
            )
            done += number

    def release(self, start: int, stop: int) -> Iterator[tuple[int, Tensor]]:
        """The complete rows start..stop: where each part begins, and its mean scores (k, *box).

        A part is overwritten once the next one is asked for.
        """
        for rows in self._in_ring(slice(start, stop)):
            part = self._sums.narrow(1 + self.axis, rows.start, rows.stop - rows.start)
            yield start, part
            start += rows.stop - rows.start

    def _in_ring(self, rows: slice) -> list[slice]:
        """Where rows lie in the ring: in one piece, or in two over its seam."""
        start = rows.start % self.depth
        stop = start + rows.stop - rows.start
        if stop <= self.depth:
            return [slice(start, stop)]
        return [slice(start, self.depth), slice(0, stop - self.depth)]

    def _sum(self, sums: Tensor, scores: Tensor, weight: Tensor, *, fresh: bool) -> None:
        if sums.dtype == torch.float32 and fresh:
            torch.mul(scores, weight, out=sums)
        elif sums.dtype == torch.float32:
            sums.addcmul_(scores, weight)
        else:
            for channel, one in zip(sums, scores, strict=True):
                part = (one * weight).clamp_(-LARGEST_HALF, LARGEST_HALF).to(sums.dtype)
                channel.copy_(part) if fresh else channel.add_(part)

    def _fetch(self, logits: Tensor) -> Tensor:
        """The window on the device of the sums, from a card through page-locked memory."""
        if logits.device == self._sums.device:
            return logits
        if self._landing is None:
            self._landing = torch.empty(logits.shape, pin_memory=True)
        self._landing.copy_(logits, non_blocking=True)
        torch.cuda.current_stream(logits.device).synchronize()
        return self._landing


class _Reached:
    """How far earlier windows of a grid go, for windows in the order of its axes.

    Those of an earlier place along the first axis fill the others whole; those of the same place,
    but an earlier one along the second axis, fill the rest; and so on.
    """

    def __init__(self, dims: int) -> None:
        self._starts: list[int | None] = [None] * dims
        self._stops = [0] * dims
        self._edges = [0] * dims

    def by(self, starts: Sequence[int], stops: Sequence[int]) -> list[int]:
        """Where that which no earlier window has reached begins along each axis.

        Args:
            starts: Of the window that comes; they tell windows apart.
            stops: Where it ends in the box.
        """
        for i, start in enumerate(starts):
            if start != self._starts[i]:
                self._edges[i] = 0 if self._starts[i] is None else self._stops[i]
                self._starts[i], self._stops[i] = start, stops[i]
                deeper = len(starts) - i - 1
                self._starts[i + 1 :], self._edges[i + 1 :] = [None] * deeper, [0] * deeper
        return self._edges


def _split(window: Sequence[slice], edges: Mapping[int, int]) -> Iterator[tuple[bool, list[slice]]]:
    """The boxes that make up a window: whether no earlier one has reached it, and where it is."""
    part = list(window)
    for axis, edge in edges.items():
        start, stop = part[axis].start, part[axis].stop
        edge = min(max(edge, start), stop)
        if start < edge:
            part[axis] = slice(start, edge)
            yield False, list(part)
        part[axis] = slice(edge, stop)
        if edge == stop:
            return
    yield True, part


def _product(lines: Sequence[Tensor]) -> Tensor:
    weight = lines[0]
    for line in lines[1:]:
        weight = weight[..., None] * line
    return weight
