"""Logits of a whole scan from overlapping windows, weighted towards each window's centre.

A voxel's logits are the weighted mean over the windows that hold it. They are made in slabs along
one axis, each handed on as soon as no later window reaches it, so that whoever does not need all of
them never holds them. `stream.py` makes a mask of them in bounded memory.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations, islice, product

import torch
from jaxtyping import Float
from torch import Tensor

from delineate.contracts import Output
from delineate.geometry import Box
from delineate.inference.allocator import join_splinters
from delineate.inference.crops import Crops
from delineate.inference.lines import Line, make_line
from delineate.inference.sums import Sums

__all__ = ["Network", "Windows", "lines_of", "predict_logits", "slabs", "stream_logits"]

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
    where = torch.empty(0, device=device).device
    crops = Crops(image.to(where), windows.patch, batch=windows.batch, device=where)
    sums = Sums(
        channels,
        tuple((0, n) for n in image.shape[1:]),
        axis=axis,
        depth=windows.patch[axis],
        device=where,
    )
    lines = lines_of(windows, tuple(image.shape[1:]), where)
    yield from slabs(network, crops, sums, windows=windows, lines=lines)


def lines_of(
    windows: Windows, shape: tuple[int, ...], device: torch.device | str = "cpu"
) -> list[Line]:
    """The windows along each axis of a scan, their weights on `device`."""
    lines = [make_line(n, p, windows.overlap) for n, p in zip(shape, windows.patch, strict=True)]
    return [Line(line.starts, line.weights.to(device)) for line in lines]


def slabs(
    network: Network, crops: Crops, sums: Sums, *, windows: Windows, lines: list[Line]
) -> Iterator[tuple[int, Tensor]]:
    """The completed rows of the box of `sums`: where each slab starts along its axis, and the slab.

    Args:
        network: In evaluation mode.
        crops: The scan.
        sums: Empty; `lines` have their weights on its device.
        windows: The cut.
        lines: Its windows along each axis.
    """
    done = 0
    grid = _grid(lines, sums.box, sums.axis)
    while batch := list(islice(grid, windows.batch)):
        starts = [tuple(line.starts[i] for line, i in zip(lines, w, strict=True)) for w in batch]
        found = _look(network, crops.stack(starts), windows)
        if found.shape[1] != sums.channels:
            raise ValueError(f"the network puts out {found.shape[1]} channels, not {sums.channels}")
        for i, (window, start) in enumerate(zip(batch, starts, strict=True)):
            if start[sums.axis] > done:
                yield from sums.release(done, start[sums.axis])
                done = start[sums.axis]
            weights = [line.weights[i] for line, i in zip(lines, window, strict=True)]
            sums.add(found[i], start, weights)
        join_splinters(found)
        del found  # or they would still be there while the next windows are predicted
    yield from sums.release(done, sums.box[sums.axis][1])


def _grid(lines: list[Line], box: Box, axis: int) -> Iterator[tuple[int, ...]]:
    """The windows that a box needs, in the order of `axis`."""
    touching = [line.touching(*limits) for line, limits in zip(lines, box, strict=True)]
    order = [axis, *(a for a in range(len(lines)) if a != axis)]
    place = [order.index(a) for a in range(len(lines))]
    for found in product(*(touching[a] for a in order)):
        yield tuple(found[p] for p in place)


@torch.no_grad()
def _look(network: Network, crops: Tensor, windows: Windows) -> Tensor:
    """Logits of a batch of windows: the mean over all mirrored looks, in single precision."""
    flips = windows.flips
    looks = [axes for n in range(len(flips) + 1) for axes in combinations(flips, n)]
    total = _look_mirrored(network, crops, windows, looks[0])
    if len(looks) > 1:
        total = total + _look_mirrored(network, crops, windows, looks[1])
        for axes in looks[2:]:
            total += _look_mirrored(network, crops, windows, axes)
        total /= len(looks)
    return total


def _look_mirrored(
    network: Network, crops: Tensor, windows: Windows, axes: tuple[int, ...]
) -> Tensor:
    dims = [2 + axis for axis in axes]
    crops = crops.flip(dims) if dims else crops
    thin = None if windows.slice_axis is None else 2 + windows.slice_axis
    output = network(crops if thin is None else crops.squeeze(thin))
    logits = output.logits if isinstance(output, Output) else output
    if logits is None:
        raise ValueError("the network puts out no logits: it cannot draw a mask")
    logits = logits.float() if thin is None else logits.float().unsqueeze(thin)
    if dims:
        logits = logits.flip(dims)
    if windows.mirror and windows.mirror_axis in axes:
        logits = logits[:, list(windows.mirror)]
    return logits
