"""Logits of a whole scan from overlapping windows, weighted towards each window's centre.

A voxel's logits are the weighted mean over the windows that hold it; the weight is a Gaussian with
a deviation of 1/8 of the window along each axis. Window positions form a grid, so the sum of all
weights is a product of one line per axis: dividing each axis's weights by their sum beforehand
makes every window a single multiply-and-add in place, with no sum of weights to keep and no last
division.

The logits are made in slabs along the first axis, each handed on as soon as no later window
reaches it, so that whoever does not need all of them never holds them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations, product
from math import ceil

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from delineate.contracts import Output

__all__ = ["Network", "Windows", "predict_logits", "stream_logits"]

Network = Callable[[Tensor], Tensor | Output]
"""From (b, c, *patch) to logits (b, k, *patch), or to an Output that has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """How a scan is cut into windows, and how often the network looks at each."""

    patch: tuple[int, ...]
    """Voxels; 1 along the slice axis of a 2-D network."""
    overlap: float = 0.5
    """At least this share of a window is covered by its neighbour along each axis."""
    batch: int = 1
    """Windows that go through the network together."""
    slice_axis: int | None = None
    """The axis that a 2-D network walks along in a volume; it is not given to the network."""
    flips: tuple[int, ...] = ()
    """Spatial axes: logits are the mean over all combinations of mirroring along them."""
    mirror: tuple[int, ...] = ()
    """Where each channel comes from after a mirror along `mirror_axis` (see `Labels.mirror`)."""
    mirror_axis: int = 0
    """The axis that runs from left to right."""

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < 1:
            raise ValueError(f"overlap is a share of the window below 1, not {self.overlap}")
        if self.slice_axis is not None and self.patch[self.slice_axis] != 1:
            raise ValueError(f"the patch {self.patch} is not 1 along slice axis {self.slice_axis}")
        if self.slice_axis in self.flips:
            raise ValueError(f"a 2-D network sees no mirror along its slice axis {self.slice_axis}")


def predict_logits(
    network: Network,
    image: Float[Tensor, " c *s"],
    windows: Windows,
    *,
    channels: int,
    device: torch.device | str = "cpu",
) -> Float[Tensor, " k *s"]:
    """The logits of the whole scan, on `device`: the weighted mean over all windows.

    Args:
        network: In evaluation mode, on `device`.
        image: On the plan's grid. One that is smaller than the window is padded with zeros, and its
            logits are cropped back.
        windows: The cut.
        channels: How many the network puts out.
        device: Where windows are predicted and logits are added up.
    """
    axis = 1 + (windows.slice_axis or 0)
    whole = torch.empty((channels, *image.shape[1:]), device=device)
    for start, slab in stream_logits(network, image, windows, channels=channels, device=device):
        whole.narrow(axis, start, slab.shape[axis]).copy_(slab)
    return whole


def stream_logits(
    network: Network,
    image: Float[Tensor, " c *s"],
    windows: Windows,
    *,
    channels: int,
    device: torch.device | str = "cpu",
) -> Iterator[tuple[int, Float[Tensor, " k *s"]]]:
    """Slabs of the logits as they are completed: where each starts, and the slab itself.

    Slabs follow each other without gap or overlap along the first axis, or along the slice axis of
    a 2-D network. A slab is overwritten once the next one is asked for.
    """
    axis = windows.slice_axis or 0
    windows = _with_axis_first(windows, axis)
    image = image.to(device).movedim(1 + axis, 1)
    before = tuple(max(0, p - n) // 2 for n, p in zip(image.shape[1:], windows.patch, strict=True))
    inside = tuple(slice(b, b + n) for b, n in zip(before, image.shape[1:], strict=True))
    cut = Cut(_pad(image, windows.patch, before), windows)
    for start, slab in cut.slabs(network, channels):
        yield start, slab[(slice(None), *inside)].movedim(1, 1 + axis)


@dataclass(frozen=True, slots=True)
class Line:
    """The windows along one axis."""

    starts: tuple[int, ...]
    weights: Float[Tensor, "windows patch"]
    """They add up to 1 at every voxel of the axis."""


class Cut:
    """A scan, at least as large as the window, and the grid of windows that covers it."""

    def __init__(self, image: Tensor, windows: Windows) -> None:
        self.image = image
        self.windows = windows
        sizes = zip(image.shape[1:], windows.patch, strict=True)
        self.lines = [_line(n, p, windows.overlap, image.device) for n, p in sizes]
        grid = list(product(*(range(len(line.starts)) for line in self.lines)))
        self.batches = [grid[i : i + windows.batch] for i in range(0, len(grid), windows.batch)]

    def slabs(self, network: Network, channels: int) -> Iterator[tuple[int, Tensor]]:
        """Windows run along the last axis first: what lies before the next one is complete."""
        first, *others = self.image.shape[1:]
        rows = max(self._start(b[-1]) - self._start(b[0]) for b in self.batches)
        rows += self.windows.patch[0]
        sums = torch.zeros((channels, rows, *others), device=self.image.device)
        done = 0
        for batch in self.batches:
            complete = self._start(batch[0]) - done
            if complete:
                yield done, sums[:, :complete]
                _drop(sums, complete)
                done += complete
            self._add(network, batch, sums, done)
        yield done, sums[:, : first - done]

    @torch.no_grad()
    def _add(self, network: Network, batch: list[tuple[int, ...]], sums: Tensor, done: int) -> None:
        crops = torch.stack([self.image[(slice(None), *self._place(w))] for w in batch])
        for window, logits in zip(batch, _look(network, crops, self.windows), strict=True):
            first, *others = self._place(window)
            rows = slice(first.start - done, first.stop - done)
            sums[(slice(None), rows, *others)].addcmul_(logits, self._weight(window))

    def _start(self, window: tuple[int, ...]) -> int:
        return self.lines[0].starts[window[0]]

    def _place(self, window: tuple[int, ...]) -> list[slice]:
        starts = (line.starts[i] for line, i in zip(self.lines, window, strict=True))
        return [slice(a, a + p) for a, p in zip(starts, self.windows.patch, strict=True)]

    def _weight(self, window: tuple[int, ...]) -> Tensor:
        weight = torch.ones((), device=self.image.device)
        for line, i in zip(self.lines, window, strict=True):
            weight = weight[..., None] * line.weights[i]
        return weight


def _look(network: Network, crops: Tensor, windows: Windows) -> Tensor:
    """Logits of a batch of windows: the mean over all mirrored looks, in single precision."""
    flips = windows.flips
    looks = [axes for n in range(len(flips) + 1) for axes in combinations(flips, n)]
    found = [_look_mirrored(network, crops, windows, axes) for axes in looks]
    return found[0] if len(found) == 1 else torch.stack(found).mean(0)


def _look_mirrored(
    network: Network, crops: Tensor, windows: Windows, axes: tuple[int, ...]
) -> Tensor:
    dims = [2 + axis for axis in axes]
    crops = crops.flip(dims) if dims else crops
    output = network(crops if windows.slice_axis is None else crops.squeeze(2))
    logits = output.logits if isinstance(output, Output) else output
    if logits is None:
        raise ValueError("the network puts out no logits: it cannot draw a mask")
    logits = logits.float() if windows.slice_axis is None else logits.float().unsqueeze(2)
    if dims:
        logits = logits.flip(dims)
    if windows.mirror and windows.mirror_axis in axes:
        logits = logits[:, list(windows.mirror)]
    return logits


def _line(size: int, patch: int, overlap: float, device: torch.device) -> Line:
    """Evenly spread windows from border to border, and their weights."""
    number = 1 + ceil((size - patch) / max(1.0, patch * (1 - overlap)))
    starts = [round(i * (size - patch) / max(1, number - 1)) for i in range(number)]
    place = torch.arange(patch, dtype=torch.float64)
    weight = torch.exp(-0.5 * ((place - (patch - 1) / 2) / (patch / 8)) ** 2)
    total = torch.zeros(size, dtype=torch.float64)
    for start in starts:
        total[start : start + patch] += weight
    weights = torch.stack([weight / total[start : start + patch] for start in starts])
    return Line(tuple(starts), weights.to(device, torch.float32))


def _pad(image: Tensor, patch: tuple[int, ...], before: tuple[int, ...]) -> Tensor:
    """Zeros around a scan that is smaller than the window, as in training."""
    sizes = zip(image.shape[1:], patch, before, strict=True)
    sides = [(b, max(0, p - n) - b) for n, p, b in sizes]
    if not any(side for pair in sides for side in pair):
        return image
    return F.pad(image, [side for pair in reversed(sides) for side in pair])


def _drop(sums: Tensor, number: int) -> None:
    """Move the rows after the first `number` to the front, in place, and clear the rest."""
    kept = sums.shape[1] - number
    for start in range(0, kept, number):
        stop = min(start + number, kept)
        sums[:, start:stop] = sums[:, start + number : stop + number]
    sums[:, max(0, kept) :] = 0


def _with_axis_first(windows: Windows, axis: int) -> Windows:
    """The same cut of a scan whose `axis` has been moved to the front."""
    order = [axis, *(a for a in range(len(windows.patch)) if a != axis)]
    return replace(
        windows,
        patch=tuple(windows.patch[a] for a in order),
        slice_axis=None if windows.slice_axis is None else 0,
        flips=tuple(order.index(a) for a in windows.flips),
        mirror_axis=order.index(windows.mirror_axis),
    )
