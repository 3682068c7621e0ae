"""Patch and network shape from spacing and size, by the rules that nnU-Net published.

Isensee et al., "nnU-Net: a self-configuring method", Nature Methods 2021, and its release 2: halve
an axis while at least 4 voxels remain and while its spacing is less than twice the finest one; use
a kernel of 3 on an axis once its spacing is less than twice the finest. Pure functions of numbers.
"""

from collections.abc import Iterator, Sequence
from math import ceil, prod

from delineate.plan.plan import Network

__all__ = [
    "first_patch",
    "long_axis",
    "plan_network",
    "shrinking_patches",
    "target_spacing",
    "total_stride",
    "without_padding",
]

SMALLEST_EDGE = 4
"""Voxels that stay along each axis of the coarsest stage."""
MOST_FEATURES = {2: 512, 3: 320}
LARGEST_PATCH = {2: 2048**2, 3: 256**3}
"""Voxels of the patch before it is clipped to the median shape."""
ANISOTROPIC = 3.0
"""Voxels more than three times as long as wide are anisotropic."""
SMALLEST_PATCH_EDGE = 16
"""No axis is cut below this for want of memory."""


def target_spacing(
    spacings: Sequence[Sequence[float]], shapes: Sequence[Sequence[int]]
) -> tuple[tuple[float, ...], int | None]:
    """The median spacing in mm, and the axis on which the 10th percentile stands in for it.

    That is the axis, if any, whose voxels are more than three times as long as all others and which
    has less than a third of their number: there the median would throw away half of the slices.
    """
    import numpy as np

    target = np.median(np.asarray(spacings, float), axis=0)
    size = np.median(np.asarray(shapes, float), axis=0)
    axis = int(np.argmax(target))
    others = [a for a in range(len(target)) if a != axis]
    finer = None
    if target[axis] > ANISOTROPIC * target[others].max() and size[axis] * 3 < size[others].min():
        tenth = np.percentile(np.asarray(spacings, float)[:, axis], 10)
        target[axis] = max(tenth, target[others].max())
        finer = axis
    return tuple(round(float(v), 6) for v in target), finer


def long_axis(spacing: Sequence[float]) -> int | None:
    """The axis of the longest voxels if they are over three times the shortest; else None."""
    if max(spacing) <= ANISOTROPIC * min(spacing):
        return None
    return list(spacing).index(max(spacing))


def first_patch(
    spacing: Sequence[float], shape: Sequence[int], *, voxels: int | None = None
) -> tuple[int, ...]:
    """Equal mm along each axis and so many voxels, clipped to the shape.

    None takes nnU-Net's number: a cube of 256 or a square of 2048.
    """
    dims = len(spacing)
    side = ((voxels or LARGEST_PATCH[dims]) * prod(spacing)) ** (1 / dims)
    return tuple(
        max(1, min(round(side / mm), size)) for mm, size in zip(spacing, shape, strict=True)
    )


def plan_network(
    patch: Sequence[int], spacing: Sequence[float], width: int, *, even: bool = False
) -> tuple[Network, tuple[int, ...]]:
    """The U-Net for that patch, and the patch padded to multiples of its total stride.

    Args:
        even: halve an axis only while its voxels are an even number, so that nothing is padded.
    """
    dims = len(patch)
    strides, kernels = [(1,) * dims], []
    size, mm, kernel = list(patch), list(spacing), [1] * dims
    while pooled := [a for a in _axes_to_pool(size, mm) if not even or size[a] % 2 == 0]:
        kernel = [
            3 if k == 3 or step < 2 * min(mm) else 1 for k, step in zip(kernel, mm, strict=True)
        ]
        kernels.append(tuple(kernel))
        strides.append(tuple(2 if axis in pooled else 1 for axis in range(dims)))
        for axis in pooled:
            size[axis] = ceil(size[axis] / 2)
            mm[axis] *= 2
    kernels.append((3,) * dims)
    network = Network(
        features=tuple(min(width * 2**i, MOST_FEATURES[dims]) for i in range(len(strides))),
        strides=tuple(strides),
        kernels=tuple(kernels),
        convolutions=(2,) * len(strides),
    )
    steps = total_stride(network)
    return network, tuple(ceil(n / s) * s for n, s in zip(patch, steps, strict=True))


def without_padding(patch: Sequence[int], spacing: Sequence[float]) -> tuple[int, ...]:
    """The patch cut, not padded, to multiples of its network's total stride."""
    steps = total_stride(plan_network(patch, spacing, 1)[0])
    return tuple(max(s, n // s * s) for n, s in zip(patch, steps, strict=True))


def total_stride(network: Network) -> tuple[int, ...]:
    """Voxels of the input under one voxel of the coarsest stage, per axis of the network."""
    return tuple(prod(steps) for steps in zip(*network.strides, strict=True))


def shrinking_patches(
    patch: Sequence[int], spacing: Sequence[float], shape: Sequence[int]
) -> Iterator[tuple[int, ...]]:
    """The padded patch, then ever smaller ones: each cuts the axis that covers most of shape."""
    _, current = plan_network(patch, spacing, 1)
    floor = [min(size, SMALLEST_PATCH_EDGE) for size in current]
    while True:
        yield current
        order = sorted(range(len(current)), key=lambda a: (current[a] / shape[a], a), reverse=True)
        smaller = (_cut(current, axis, spacing) for axis in order)
        fitting = (p for p, axis in zip(smaller, order, strict=True) if p[axis] >= floor[axis])
        following = next((p for p in fitting if prod(p) < prod(current)), None)
        if following is None:
            return
        current = following


def _axes_to_pool(size: list[int], mm: list[float]) -> list[int]:
    """The axes that the next stage halves; none when the network is deep enough."""
    long_enough = [a for a, n in enumerate(size) if n >= 2 * SMALLEST_EDGE]
    if not long_enough:
        return []
    finest = min(mm[a] for a in long_enough)
    axes = [a for a in long_enough if mm[a] < 2 * finest]
    if len(axes) == 1 and size[axes[0]] < 3 * SMALLEST_EDGE:
        return []
    return axes


def _cut(patch: tuple[int, ...], axis: int, spacing: Sequence[float]) -> tuple[int, ...]:
    """The patch less one step along the axis: a step is what the smaller patch must divide by."""
    step = total_stride(plan_network(patch, spacing, 1)[0])[axis]
    tried = [*patch]
    tried[axis] = max(1, tried[axis] - step)
    step = total_stride(plan_network(tried, spacing, 1)[0])[axis]
    tried[axis] = max(1, patch[axis] - step)
    return plan_network(tried, spacing, 1)[1]
