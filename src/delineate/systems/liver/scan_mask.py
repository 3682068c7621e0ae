"""The mask of one prepared image on the grid of its scan, window by window.

Logits are brought to the scan's grid before a class is chosen, slab by slab, so that those of all
classes never exist for the whole scan unless they are asked for.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from delineate.data.resample import resample_scores
from delineate.geometry import Box, slices
from delineate.inference import Windows
from delineate.inference.decision import Decision, mask_type, matrices_of
from delineate.inference.sliding import Network, stream_logits

__all__ = ["Drawn", "draw_mask"]


class Drawn(NamedTuple):
    """What was found, on the scan's grid and in canonical axes."""

    mask: np.ndarray
    """(*s) channel indices."""
    logits: np.ndarray | None
    """(k, *s) float32; None unless they are asked for."""


def draw_mask(
    network: Network,
    image: np.ndarray,
    windows: Windows,
    *,
    channels: int,
    box: Box,
    shape: tuple[int, ...],
    device: torch.device | str = "cpu",
    keep_logits: bool = False,
) -> Drawn:
    """Draw the mask of a prepared image.

    Args:
        network: On `device`, in evaluation mode.
        image: (c, *s) float32.
        windows: How it is cut.
        channels: How many the network puts out.
        box: What of the image is the scan; the rest is padding.
        shape: Of the scan, which the box covers from edge to edge.
        device: Where windows are predicted.
        keep_logits: Whether logits are wanted beside the mask.
    """
    axis = windows.slice_axis or 0
    inner = tuple(stop - start for start, stop in box)
    mask = np.zeros(shape, mask_type(channels))
    matrices = matrices_of(inner, shape, separate_axis=None)
    decision = Decision(mask, matrices, axis=axis, threshold=None)
    kept = np.empty((channels, *inner), np.float32) if keep_logits else None
    # Windows are filled up with zeros: beyond the image lies air, its darkest value.
    air = float(image.min())
    above = torch.from_numpy(image - air)
    found = stream_logits(
        lambda crops: network(crops + air), above, windows, channels=channels, device=device
    )
    for start, slab in found:
        first, part = _inside(start, slab, box, axis)
        if not part.shape[1 + axis]:
            continue
        decision.take(first, part)
        if kept is not None:
            place = [slice(None)] * (1 + len(box))
            place[1 + axis] = slice(first, first + part.shape[1 + axis])
            kept[tuple(place)] = part.float().cpu().numpy()
    return Drawn(mask, None if kept is None else resample_scores(kept, shape))


def _inside(start: int, slab: Tensor, box: Box, axis: int) -> tuple[int, Tensor]:
    """What of a slab (k, *s) lies in the box, and where in the box it begins."""
    low, high = box[axis]
    first = max(start, low)
    last = max(first, min(start + slab.shape[1 + axis], high))
    place = list(slices(box))
    place[axis] = slice(first - start, last - start)
    return first - low, slab[(slice(None), *place)]
