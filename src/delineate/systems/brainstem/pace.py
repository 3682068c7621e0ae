"""How long a training is, and in how many parts a batch goes through the network.

The documented batch goes through as a whole where memory allows it. Else activations are recomputed
in the backward pass, unless that is forbidden; then it goes through in two parts, three, ... whose
gradients are added up: a step stays what it is, and so do the samples that are mixed in it.
"""

import json
import math
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from delineate.assemble import assemble_network
from delineate.config import Config, Data, Part
from delineate.engine.hardware import choose_device, choose_precision
from delineate.io import atomic_path
from delineate.plan import Plan
from delineate.plan.dry_run import build_dry
from delineate.plan.memory import available_gb, has_card, measure_step
from delineate.systems.brainstem.network import network_entry, precision_wish
from delineate.systems.brainstem.settings import TrainingConfig, plain

__all__ = ["Pace", "choose_pace", "recall_pace", "write_pace"]

FILE = "pace.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The steps of a training, and the parts of a batch."""

    epochs: int
    steps_per_epoch: int
    """Of the optimiser."""
    batch_size: int
    """Samples of a step."""
    parts: int
    """In which they go through the network."""
    checkpointing: bool
    """Whether activations are recomputed."""
    memory_gb: float
    """That a step takes; on the CPU it is counted, not measured."""
    limit: str
    """What bounds memory, in words."""

    @property
    def steps(self) -> int:
        """Of the whole training."""
        return self.epochs * self.steps_per_epoch

    def describe(self) -> str:
        """One line for the log."""
        again = ", activations are recomputed" if self.checkpointing else ""
        return (
            f"{self.epochs} epochs of {self.steps_per_epoch} steps; {self.batch_size} patches go "
            f"through the network in {self.parts} part{'s' * (self.parts > 1)}{again}, which takes "
            f"{self.memory_gb:.2f} GB of {self.limit}"
        )


def choose_pace(config: TrainingConfig, plan: Plan, *, subjects: int) -> Pace:
    """As few parts as fit; single samples where nothing does."""
    device = choose_device(config.device)
    limit, why = available_gb(device)
    if config.memory_gb is not None:
        limit, why = config.memory_gb, "memory_gb"
    parts, checkpointing, taken = 1, False, math.inf
    for parts, checkpointing in _options(config):
        largest = math.ceil(config.batch_size / parts)
        taken = _measure(config, plan, largest, checkpointing=checkpointing, device=device)
        if taken <= limit:
            break
    return Pace(
        epochs=config.num_epochs,
        steps_per_epoch=math.ceil(config.samples_per_volume * subjects / config.batch_size),
        batch_size=config.batch_size,
        parts=parts,
        checkpointing=checkpointing,
        memory_gb=taken,
        limit=f"{limit:.1f} GB ({why})"
        if taken <= limit
        else f"too little, {limit:.3g} GB ({why})",
    )


def write_pace(pace: Pace, config: TrainingConfig, folder: Path) -> None:
    """Note what was chosen, and for which settings."""
    noted = {"settings": plain(config), "pace": asdict(pace)}
    with atomic_path(folder / FILE) as part:
        part.write_text(json.dumps(noted, indent=1), encoding="utf-8")


def recall_pace(config: TrainingConfig, folder: Path) -> Pace | None:
    """What was chosen for the same settings: an unfinished training goes on as it was begun.

    None where nothing is noted; memory that is free now might lead to another choice.
    """
    try:
        noted = json.loads((folder / FILE).read_text(encoding="utf-8"))
        same = noted["settings"] == json.loads(json.dumps(plain(config)))
        return Pace(**noted["pace"]) if same else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _options(config: TrainingConfig) -> list[tuple[int, bool]]:
    """Parts and checkpointing, the most wanted first."""
    wish = config.gradient_checkpointing
    wishes = [False, True] if wish is None else [wish]
    more = range(2, config.batch_size + 1)
    return [(1, wish) for wish in wishes] + [(parts, wishes[-1]) for parts in more]


def _measure(
    config: TrainingConfig, plan: Plan, batch: int, *, checkpointing: bool, device: str
) -> float:
    part = Part.model_validate(network_entry(config, checkpointing=checkpointing))
    make = partial(assemble_network, Config(data=Data(root=Path()), model=part), plan)
    return measure_step(
        make() if has_card(device) else build_dry(make),
        patch=plan.patch,
        batch_size=batch,
        channels=len(plan.channels),
        labels=plan.labels,
        device=device,
        precision=choose_precision(precision_wish(config), device),
    )
