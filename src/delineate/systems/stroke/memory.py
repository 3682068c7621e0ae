"""The memory of this machine, and what a training step of the hybrid network takes of it."""

import os
from dataclasses import dataclass
from functools import cache
from math import isfinite, prod
from typing import TYPE_CHECKING, Any

from delineate.plan.main_memory import measure_memory
from delineate.plan.memory import GB, available_gb, has_card, measure_step
from delineate.systems.stroke.rules import LEVELS

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "CARD",
    "CPU",
    "Machine",
    "Setup",
    "Steps",
    "find_machine",
    "network_arguments",
    "target_memory",
]

CARD, CPU = "cuda", "cpu"
MOST_OF_CARD, USUAL_OF_CARD = 0.9, 0.8
PROBE = (96, 2)
"""Edge of the cubes and samples in the batch on which the memory of a network is counted."""
BYTES_PER_WEIGHT = 18
"""Of a step: the weight, its moments, its gradient and copies in half precision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What this machine has; the cards are those that PyTorch sees."""

    cards: int
    card_gb: float
    """Of the first card; 0 where there is none."""
    free_gb: float
    """Of the first card, or of main memory."""
    cores: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What decides how much memory a training step takes."""

    level: str
    base_filters: int
    shape: tuple[int, ...]
    batch: int
    checkpointing: bool

    @property
    def voxels(self) -> int:
        """In a batch."""
        return self.batch * prod(self.shape)


@dataclass(slots=True)
class Steps:
    """The memory of training steps on one device: predicted from one count, or measured.

    Args:
        device: 'cuda' without a card counts on shapes alone what one would hold.
        correction: what a measured step took, over what was predicted.
    """

    device: str
    correction: float = 1.0

    def predict(self, setup: Setup) -> float:
        """GB of a step: weights, and so much for each voxel of a batch."""
        fixed, each = _line(setup.level, setup.base_filters, setup.checkpointing, self.device)
        return (fixed + each * setup.voxels) * self.correction

    def measure(self, setup: Setup) -> float:
        """GB of this very step, on the card where there is one; infinite where it runs out."""
        network = _network(setup.level, setup.base_filters, setup.checkpointing)
        return _step(network, setup.shape, setup.batch, self.device, real=has_card(self.device))

    def learn(self, setup: Setup) -> float:
        """Measure a step, correct what is predicted by it, and return its GB."""
        took, said = self.measure(setup), self.predict(setup)
        self.correction *= took / said if isfinite(took) else 1.15
        return took


def find_machine() -> Machine:
    """The memory that is there, not a table of names."""
    import torch

    cores = os.cpu_count() or 1
    if torch.cuda.is_available():
        free, _ = torch.cuda.mem_get_info(0)
        total = torch.cuda.get_device_properties(0).total_memory
        cards = torch.cuda.device_count()
        return Machine(cards=cards, card_gb=total / GB, free_gb=free / GB, cores=cores)
    memory = measure_memory()
    free_gb = available_gb(CPU)[0] if memory is None else memory.free
    return Machine(cards=0, card_gb=0.0, free_gb=free_gb, cores=cores)


def target_memory(asked: float | None, machine: Machine) -> tuple[float, str, str]:
    """GB that a step may take, why, and the device it is for.

    Without a card, memory that is asked for is that of a card elsewhere.
    """
    if not machine.cards:
        if asked is not None:
            return asked, "as asked for, of a card that is not in this machine", CARD
        gb, why = available_gb(CPU)
        return gb, f"there is no card: {why}", CPU
    most = MOST_OF_CARD * min(machine.free_gb, machine.card_gb)
    said = f"of the card's {machine.card_gb:.1f} GB, {machine.free_gb:.1f} GB are free"
    if asked is None:
        usual = USUAL_OF_CARD * machine.card_gb
        return min(usual, most), f"{said}", CARD
    if asked <= most:
        return asked, f"as asked for; {said}", CARD
    return most, f"{asked:g} GB were asked for, but {said}", CARD


def network_arguments(level: str, base_filters: int | None = None) -> dict[str, Any]:
    """Arguments of `HybridCNNTransformer`: those of its last documented stage but for the level."""
    from delineate.models.hybrid import STAGES

    last = list(STAGES.values())[-1]
    arguments = {**last, **LEVELS[level]} if level in LEVELS else dict(STAGES[level])
    return arguments | ({} if base_filters is None else {"base_filters": base_filters})


@cache
def _line(level: str, base_filters: int, checkpointing: bool, device: str) -> tuple[float, float]:
    """GB of a step without voxels, and GB for each voxel, from one count on shapes.

    All but the weights grows in proportion to the voxels: attention holds no scores.
    """
    network, (edge, batch) = _network(level, base_filters, checkpointing), PROBE
    weights = sum(p.numel() for p in _build(network, real=False).parameters())
    fixed = BYTES_PER_WEIGHT * weights / GB
    counted = _step(network, (edge,) * 3, batch, device, real=False)
    return fixed, (counted - fixed) / (batch * edge**3)


def _network(level: str, base_filters: int, checkpointing: bool) -> tuple[tuple[str, Any], ...]:
    """Arguments that can be remembered."""
    arguments = network_arguments(level, base_filters)
    return tuple((arguments | {"checkpointing": checkpointing}).items())


def _build(network: tuple[tuple[str, Any], ...], *, real: bool) -> "nn.Module":
    """The network for one channel and one class, with or without memory for its weights."""
    from delineate.models import HybridCNNTransformer
    from delineate.plan.dry_run import build_dry

    def build() -> "nn.Module":
        return HybridCNNTransformer(1, 2, **dict(network))

    return build() if real else build_dry(build)


@cache
def _step(
    network: tuple[tuple[str, Any], ...],
    shape: tuple[int, ...],
    batch: int,
    device: str,
    *,
    real: bool,
) -> float:
    """GB of one training step: really done, or counted on shapes."""
    import torch

    from delineate.labels import Labels
    from delineate.plan.dry_run import dry_run

    model = _build(network, real=real)
    if not real and device == CARD:
        image = torch.empty((batch, 1, *shape), device="meta")
        target = torch.empty((batch, *shape), device="meta", dtype=torch.int64)
        return dry_run(model, image, target, precision=torch.bfloat16) / GB
    return measure_step(
        model,
        patch=shape,
        batch_size=batch,
        channels=1,
        labels=Labels.from_names({"lesion": 1}),
        device=device,
        precision="bf16" if device == CARD else "fp32",
    )
