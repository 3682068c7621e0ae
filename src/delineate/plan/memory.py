"""How much memory one training step takes, and how much there is."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from delineate.errors import PlanError
from delineate.labels import Labels
from delineate.plan.main_memory import measure_memory

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["GB", "Precision", "available_gb", "has_card", "measure_step"]

GB = 1e9
Precision = Literal["fp32", "bf16", "fp16"]

CARD_SHARE = 0.85
"""The part of a card that a plan may use; the rest is the driver's, the kernels', and gaps."""
CPU_LIMIT_GB = 8.0
CPU_SHARE = 0.5
CPU_KERNELS_GB = {2: 0.02, 3: 0.06}
"""What PyTorch's CPU kernels and the allocator hold beyond the tensors, by the network's number of
axes: measured on real steps."""


def measure_step(
    model: "nn.Module",
    *,
    patch: Sequence[int],
    batch_size: int,
    channels: int,
    labels: Labels,
    device: str,
    precision: Precision,
    counted: bool = False,
) -> float:
    """Peak GB of one training step: forward, a Dice and cross-entropy loss, backward, AdamW.

    On a CUDA card the step is really done, and the answer is infinite where the card runs out; on
    the CPU, or for a card that is not here, it is counted on shapes alone, and the model may be on
    the 'meta' device. `patch` has as many axes as the network. The model is left as it is.

    Args:
        counted: count on shapes even where there is a card.
    """
    import torch

    kind = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    shapes = (
        (batch_size, channels, *patch),
        (batch_size, labels.channels, *patch) if labels.overlapping else (batch_size, *patch),
    )
    ids = torch.float32 if labels.overlapping else torch.int64
    if has_card(device) and not counted:
        return _real_step(model, shapes, ids, torch.device(device), kind)
    from delineate.plan.dry_run import dry_run

    image = torch.empty(shapes[0], device="meta")
    target = torch.empty(shapes[1], device="meta", dtype=ids)
    gigabytes = dry_run(model, image, target, precision=kind) / GB
    return gigabytes + (CPU_KERNELS_GB[len(patch)] if device == "cpu" else 0.0)


def has_card(device: str) -> bool:
    """Whether the device is a CUDA card of this machine."""
    import torch

    return device.startswith("cuda") and torch.cuda.is_available()


def available_gb(device: str) -> tuple[float, str]:
    """What a plan may use when nobody says how much, and why."""
    import torch

    if device.startswith("cuda"):
        if not has_card(device):
            raise PlanError(
                f"plan: there is no card for device '{device}' here, so its memory is unknown. "
                "Fix: say how much it has, such as plan.memory_gb=8."
            )
        total = torch.cuda.get_device_properties(torch.device(device)).total_memory / GB
        return CARD_SHARE * total, f"{CARD_SHARE:.0%} of the card's {total:.1f} GB"
    memory = measure_memory()
    if memory is None or memory.free * CPU_SHARE >= CPU_LIMIT_GB:
        return CPU_LIMIT_GB, "the most that a plan takes of main memory"
    return CPU_SHARE * memory.free, f"half of the {memory.free:.1f} GB of free main memory"


def _real_step(
    model: "nn.Module",
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    ids: "torch.dtype",
    device: "torch.device",
    precision: "torch.dtype",
) -> float:
    """The second of two steps on the card: by then the optimiser holds its moments."""
    import copy

    import torch

    try:
        image = torch.zeros(shapes[0], device=device)
        target = torch.zeros(shapes[1], device=device, dtype=ids)
        trained = copy.deepcopy(model).to(device)
        optimizer = torch.optim.AdamW(trained.parameters(), lr=0.0)
        for _ in range(2):
            torch.cuda.reset_peak_memory_stats(device)
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cuda", precision, enabled=precision != torch.float32):
                output = trained(image)
            _loss(output, target).backward()
            optimizer.step()
        return torch.cuda.max_memory_allocated(device) / GB
    except torch.OutOfMemoryError:
        return math.inf
    finally:
        torch.cuda.empty_cache()


def _loss(output: object, target: "torch.Tensor") -> "torch.Tensor":
    """Dice and cross-entropy on the logits; the mean of whatever else the model returns."""
    import torch
    from torch.nn import functional as F

    from delineate.plan.dry_run import tensors_of

    logits, *others = (t.float() for t in tensors_of(output) if t.requires_grad)
    if target.is_floating_point():
        entropy, shares, truth = F.binary_cross_entropy_with_logits, logits.sigmoid(), target
    else:
        entropy, shares = F.cross_entropy, logits.softmax(dim=1)
        truth = F.one_hot(target, logits.shape[1]).movedim(-1, 1).float()
    axes = tuple(range(2, logits.ndim))
    overlap = (2 * (shares * truth).sum(axes) + 1) / ((shares + truth).sum(axes) + 1)
    rest = [other.square().mean() for other in others]
    return torch.stack([entropy(logits, target), -overlap.mean(), *rest]).sum()
