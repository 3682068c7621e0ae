"""Weighted sums of windows, as deep along one axis as a window is: a ring of rows.

Windows come in the order of that axis. When the next one begins further on, no later window
reaches the rows before it: they are complete, are handed on, and their place is taken by rows to
come.
"""

from collections.abc import Iterator, Sequence

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
        weight = _product(lines)
        logits = logits[(slice(None), *inside)]
        done = 0
        for rows in self._in_ring(target[self.axis]):
            target[self.axis] = rows
            number = rows.stop - rows.start
            self._add(
                self._sums[(slice(None), *target)],
                logits.narrow(1 + self.axis, done, number),
                weight.narrow(self.axis, done, number),
            )
            done += number

    def release(self, start: int, stop: int) -> Iterator[tuple[int, Tensor]]:
        """The complete rows start..stop: where each part begins, and its mean scores (k, *box).

        A part is overwritten once the next one is asked for.
        """
        for rows in self._in_ring(slice(start, stop)):
            part = self._sums.narrow(1 + self.axis, rows.start, rows.stop - rows.start)
            yield start, part
            part.zero_()
            start += rows.stop - rows.start

    def _in_ring(self, rows: slice) -> list[slice]:
        """Where rows lie in the ring: in one piece, or in two over its seam."""
        start = rows.start % self.depth
        stop = start + rows.stop - rows.start
        if stop <= self.depth:
            return [slice(start, stop)]
        return [slice(start, self.depth), slice(0, stop - self.depth)]

    def _add(self, sums: Tensor, logits: Tensor, weight: Tensor) -> None:
        if sums.dtype == torch.float32:
            sums.addcmul_(logits, weight)
            return
        for channel, scores in zip(sums, logits, strict=True):
            channel += (scores * weight).clamp_(-LARGEST_HALF, LARGEST_HALF).to(sums.dtype)

    def _fetch(self, logits: Tensor) -> Tensor:
        """The window on the device of the sums, from a card through page-locked memory."""
        if logits.device == self._sums.device:
            return logits
        if self._landing is None:
            self._landing = torch.empty(logits.shape, pin_memory=True)
        self._landing.copy_(logits, non_blocking=True)
        torch.cuda.current_stream(logits.device).synchronize()
        return self._landing


def _product(lines: Sequence[Tensor]) -> Tensor:
    weight = lines[0]
    for line in lines[1:]:
        weight = weight[..., None] * line
    return weight
