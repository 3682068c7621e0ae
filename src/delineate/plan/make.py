"""From a fingerprint to a plan: nnU-Net's rules, then measured memory, and why."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import TYPE_CHECKING

from delineate.errors import PlanError
from delineate.plan.draft import choose_slice_axis, draft_plan
from delineate.plan.fingerprint import Fingerprint
from delineate.plan.fit import Fit, Limits, fit
from delineate.plan.memory import Precision, available_gb, has_card, measure_step
from delineate.plan.plan import Network, Plan
from delineate.plan.topology import (
    first_patch,
    plan_network,
    shrinking_patches,
    total_stride,
    without_padding,
)

if TYPE_CHECKING:
    from torch import nn

__all__ = ["make_plan"]

WIDTH_GPU, WIDTH_CPU = 32, 16
CPU_VOXELS = {2: 320**2, 3: 64**3}
"""No more in a patch on a CPU, where a step of a larger one takes many seconds."""


def make_plan(
    fingerprint: Fingerprint,
    *,
    build_model: "Callable[[Plan], nn.Module]",
    memory_gb: float | None = None,
    device: str = "cpu",
    spacing: Sequence[float] | None = None,
    patch: Sequence[int] | None = None,
    batch_size: int | None = None,
    dims: int | None = None,
    width: int | None = None,
    nonzero: bool | None = None,
) -> Plan:
    """The plan for that data on that device; what is given is kept, None is worked out.

    Args:
        build_model: the network of a plan; it is built several times, mostly without weights.
        memory_gb: what one training step may take; None is most of the card, or at most 8 GB of
            main memory.
        spacing: mm, in canonical axes.
        patch: voxels, one per axis of the data; 1 on the axis that a 2-D network walks along.
        dims: of the network; 2 for volumes means slices across the longest voxels.
        width: features of the finest stage.
        nonzero: whether scans without a unit are normalised by their voxels that are not zero.
    """
    _check_wishes(fingerprint.dims, spacing=spacing, patch=patch, dims=dims)
    _check_positive(
        memory_gb=memory_gb, spacing=spacing, patch=patch, batch_size=batch_size, width=width
    )
    on_cpu = not device.startswith("cuda")
    draft = draft_plan(fingerprint, spacing=spacing, nonzero=nonzero)
    sketch = _Sketch(
        draft=draft,
        slice_axis=choose_slice_axis(draft, dims=dims, patch=patch),
        width=width or (WIDTH_CPU if on_cpu else WIDTH_GPU),
        on_cpu=on_cpu,
    )
    patches = sketch.patches() if patch is None else [_asked_patch(patch, sketch)]
    memory, memory_why = available_gb(device) if memory_gb is None else (memory_gb, "as asked for")
    limits = Limits(
        memory_gb=memory,
        memory_why=memory_why,
        voxels=float(prod(draft.shape)) * len(fingerprint.cases),
        on_cpu=on_cpu,
        batch_size=batch_size,
    )
    estimate = partial(_memory, build_model, device, real=False)
    measure = partial(_memory, build_model, device, real=True) if has_card(device) else estimate
    found = fit(sketch.draw, patches, limits, estimate=estimate, measure=measure)
    plan = sketch.draw(found.patch, found.batch_size)
    reasons = {
        **draft.reasons,
        "patch": "As asked for." if patch is not None else _why_patch(sketch, found, limits),
        "batch_size": found.why_batch,
        "network": _why_network(plan, asked=width is not None, on_cpu=on_cpu),
        "memory_gb": _why_memory(limits, real=has_card(device)),
    }
    return replace(plan, memory_gb=round(found.memory_gb, 3), reasons=reasons)


@dataclass(frozen=True, slots=True)
class _Sketch:
    """A plan but for its patch and batch."""

    draft: Plan
    slice_axis: int | None
    width: int
    on_cpu: bool

    @property
    def axes(self) -> list[int]:
        """The data's axes that the network sees."""
        return [a for a in range(len(self.draft.shape)) if a != self.slice_axis]

    @property
    def spacing(self) -> list[float]:
        return [self.draft.spacing[a] for a in self.axes]

    @property
    def shape(self) -> list[int]:
        return [self.draft.shape[a] for a in self.axes]

    def patches(self) -> list[tuple[int, ...]]:
        """What may be tried, largest first, in the network's axes."""
        most = CPU_VOXELS[len(self.axes)] if self.on_cpu else None
        largest = first_patch(self.spacing, self.shape, voxels=most)
        if len(plan_network(largest, self.spacing, 1)[0].strides) < 2:
            shape = "x".join(map(str, self.draft.shape))
            raise PlanError(
                f"plan: the scans are too small to learn from, {shape} voxels on median after "
                "resampling. Fix: ask for a finer plan.spacing."
            )
        if self.on_cpu:
            largest = without_padding(largest, self.spacing)
        return list(shrinking_patches(largest, self.spacing, self.shape))

    def draw(self, patch: tuple[int, ...], batch_size: int) -> Plan:
        """The whole plan for a patch in the network's axes."""
        network, padded = plan_network(patch, self.spacing, self.width)
        if padded != patch:
            network, _ = plan_network(patch, self.spacing, self.width, even=True)
        if self.slice_axis is not None:
            patch = (*patch[: self.slice_axis], 1, *patch[self.slice_axis :])
        return replace(self.draft, patch=patch, batch_size=batch_size, network=network)


def _asked_patch(patch: Sequence[int], sketch: _Sketch) -> tuple[int, ...]:
    """The wish in the network's axes; what the network cannot halve often enough is a PlanError.

    Once less than it would is often enough: 144 voxels are halved to 9, not to 4.5.
    """
    if sketch.slice_axis is not None and patch[sketch.slice_axis] != 1:
        raise PlanError(
            f"plan: a 2-D network walks along axis {sketch.slice_axis}, where plan.patch="
            f"{list(patch)} must be 1."
        )
    asked = tuple(patch[a] for a in sketch.axes)
    network, padded = plan_network(asked, sketch.spacing, sketch.width)
    if len(network.strides) < 2:
        raise PlanError(
            f"plan: plan.patch={list(patch)} is too small to be halved. "
            "Fix: at least 12 voxels on an axis."
        )
    if padded != asked and not _nearly_as_often(network, asked, sketch):
        nearest = [*patch]
        for axis, size in zip(sketch.axes, padded, strict=True):
            nearest[axis] = size
        raise PlanError(
            f"plan: the patch {list(patch)} cannot be halved as often as the network needs. "
            f"Fix: plan.patch={nearest} can."
        )
    return asked


def _nearly_as_often(network: Network, asked: tuple[int, ...], sketch: _Sketch) -> bool:
    even, _ = plan_network(asked, sketch.spacing, sketch.width, even=True)
    steps = zip(total_stride(network), total_stride(even), strict=True)
    return len(even.strides) > 1 and all(2 * kept >= wished for wished, kept in steps)


def _memory(
    build_model: "Callable[[Plan], nn.Module]", device: str, plan: Plan, *, real: bool
) -> float:
    """GB of one step: on the card if `real`, else counted on shapes."""
    from delineate.plan.dry_run import build_dry

    axes = [size for axis, size in enumerate(plan.patch) if axis != plan.slice_axis]
    precision: Precision = "bf16" if device.startswith("cuda") else "fp32"
    return measure_step(
        build_model(plan) if real else build_dry(lambda: build_model(plan)),
        patch=axes,
        batch_size=plan.batch_size,
        channels=len(plan.channels),
        labels=plan.labels,
        device=device,
        precision=precision,
        counted=not real,
    )


def _why_patch(sketch: _Sketch, found: Fit, limits: Limits) -> str:
    shape = "x".join(map(str, sketch.draft.shape))
    slices = ""
    if sketch.slice_axis is not None:
        slices = f" A 2-D network walks along axis {sketch.slice_axis}."
    if found.tried:
        return (
            f"The largest whose step fits in {limits.memory_gb:.1f} GB ({limits.memory_why}); "
            f"{found.tried} larger ones did not, and a patch holds the same mm along each axis "
            f"within the median shape {shape}.{slices}"
        )
    if sketch.on_cpu:
        return (
            f"The same mm along each axis within the median shape {shape}, cut until the network's "
            f"strides divide it: on a CPU every voxel of padding, and every one beyond some "
            f"{CPU_VOXELS[len(sketch.axes)]:,}, costs steps.{slices}"
        )
    if all(p >= n for p, n in zip(found.patch, sketch.shape, strict=True)):
        return f"The median shape {shape}, padded until the network's strides divide it.{slices}"
    return (
        f"The same mm along each axis, within the median shape {shape}; memory allows it.{slices}"
    )


def _why_network(plan: Plan, *, asked: bool, on_cpu: bool) -> str:
    stages, width = len(plan.network.strides), plan.network.features[0]
    depth = f"{stages} stages: an axis is halved while 4 voxels stay, finest spacing first."
    if asked:
        return f"{depth} Width {width} as asked for."
    if on_cpu:
        return f"{depth} Width {width}: a step on a CPU costs a quarter of width {2 * width}'s."
    return f"{depth} Width {width} is nnU-Net's."


def _why_memory(limits: Limits, *, real: bool) -> str:
    how = "Peak of a real step on the card" if real else "Peak of one step, counted on shapes"
    return f"{how}; {limits.memory_gb:.1f} GB allowed ({limits.memory_why})."


def _check_wishes(
    data_dims: int,
    *,
    spacing: Sequence[float] | None,
    patch: Sequence[int] | None,
    dims: int | None,
) -> None:
    """Wishes have as many axes as the data."""
    for name, wish in (("spacing", spacing), ("patch", patch)):
        if wish is not None and len(wish) != data_dims:
            raise PlanError(
                f"plan: plan.{name} has {len(wish)} entries, {list(wish)}, but the data have "
                f"{data_dims} axes. Fix: give one per axis."
            )
    if dims is not None and not 2 <= dims <= data_dims:
        raise PlanError(
            f"plan: plan.dims={dims} asks for {dims} axes; the data have {data_dims}. "
            f"Fix: {' or '.join(str(d) for d in range(2, data_dims + 1))}."
        )
    if dims == 3 and patch is not None and 1 in patch:
        raise PlanError(
            f"plan: plan.patch={list(patch)} is a slice, but plan.dims=3. Fix: drop one."
        )


def _check_positive(**wishes: float | Sequence[float] | None) -> None:
    for name, wish in wishes.items():
        if wish is None:
            continue
        values = wish if isinstance(wish, Sequence) else [wish]
        if any(v <= 0 for v in values):
            raise PlanError(f"plan: plan.{name}={wish} must be greater than 0.")
