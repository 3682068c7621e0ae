"""What a plan owes to the data alone: spacing, shape, normalisation, and the axis of slices."""

from collections.abc import Sequence

import numpy as np

from delineate.plan.fingerprint import Fingerprint
from delineate.plan.intensity import choose_crop, choose_normalisation
from delineate.plan.plan import Network, Plan
from delineate.plan.topology import first_patch, long_axis, target_spacing

__all__ = ["choose_slice_axis", "draft_plan"]


def draft_plan(
    fingerprint: Fingerprint, *, spacing: Sequence[float] | None, nonzero: bool | None = None
) -> Plan:
    """Everything that follows from the data; patch, batch and network are still empty."""
    crop, why_crop = choose_crop(fingerprint)
    normalisation, why_normalisation = choose_normalisation(
        fingerprint, nonzero=crop if nonzero is None else nonzero
    )
    shapes = [case.box if crop else case.shape for case in fingerprint.cases]
    spacings = [case.spacing for case in fingerprint.cases]
    if spacing is not None:
        target, why_spacing = tuple(map(float, spacing)), "As asked for."
    else:
        target, why_spacing = _median_spacing(spacings, shapes)
    resampled = np.rint(np.asarray(shapes) * np.asarray(spacings) / np.asarray(target))
    # np.rint rounds halves to even; half a voxel more is safer than half a voxel less.
    shape = tuple(max(1, int(np.floor(m + 0.5))) for m in np.median(resampled, axis=0))
    separate = long_axis(target) if fingerprint.dims == 3 else None
    ratio = f"The longest voxel edge is {max(target) / min(target):.2g} times the shortest"
    return Plan(
        channels=fingerprint.channels,
        labels=fingerprint.labels,
        spacing=target,
        shape=shape,
        crop_nonzero=crop,
        normalisation=normalisation,
        separate_axis=separate,
        patch=(),
        batch_size=0,
        network=Network(features=(), strides=(), kernels=(), convolutions=()),
        memory_gb=0.0,
        reasons={
            "spacing": why_spacing,
            "shape": f"The median of {len(shapes)} cases at that spacing.",
            "crop_nonzero": why_crop,
            "normalisation": why_normalisation,
            "separate_axis": f"{ratio}: {'not ' if separate is None else ''}more than 3.",
        },
    )


def _median_spacing(
    spacings: Sequence[tuple[float, ...]], shapes: Sequence[tuple[int, ...]]
) -> tuple[tuple[float, ...], str]:
    spacing, finer = target_spacing(spacings, shapes)
    why = f"The median of {len(spacings)} cases."
    if finer is not None:
        why = (
            f"The median of {len(spacings)} cases; on axis {finer}, where slices are few and far "
            "apart, the 10th percentile, so that no close slices are thrown away."
        )
    return spacing, why


def choose_slice_axis(draft: Plan, *, dims: int | None, patch: Sequence[int] | None) -> int | None:
    """The axis that a 2-D network walks along; None when network and data have the same axes."""
    if len(draft.shape) == 2 or dims == 3:
        return None
    thin = [a for a, n in enumerate(patch or first_patch(draft.spacing, draft.shape)) if n == 1]
    if thin:
        return thin[-1]
    if dims is None:
        return None
    longest = max(draft.spacing)
    # Of equals the last axis: axial slices, as they are read.
    return max(a for a, mm in enumerate(draft.spacing) if mm > 0.999 * longest)
