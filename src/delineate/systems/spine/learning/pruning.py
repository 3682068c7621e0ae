"""PruningCallback: filters that leave a STAMPUNet as it trains.

Every `prune_every_n_epochs` epochs, and never sooner than `recovery_epochs` after the last time,
`prune_percentage` % of the filters that the network began with are removed, at most
`total_pruning_iterations` times; the last `recovery_epochs` epochs are left to recover. See
`delineate.models.stamp_unet` for how filters are ranked and what becomes of the dropout.
"""

import logging
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from delineate.errors import ConfigError
from delineate.models import STAMPUNet

__all__ = ["PruningCallback"]

log = logging.getLogger("delineate")

MODES = ("Taylor", "L1", "L2")


class PruningCallback(Callback):
    """Removes the least important filters of a network as it trains.

    Args:
        prune_every_n_epochs: How many epochs lie between two removals.
        prune_percentage: Of the filters that there were at first.
        pruning_mode: What makes a filter important: Taylor, L1 or L2.
        total_pruning_iterations: How often, None for as often as the epochs allow.
        recovery_epochs: Without removals, at the end and after each.
        b_drop: Dropout of the layer that ranks lowest; None leaves the dropout alone.
    """

    def __init__(
        self,
        prune_every_n_epochs: int = 5,
        prune_percentage: float = 1.0,
        pruning_mode: str = "Taylor",
        total_pruning_iterations: int | None = None,
        recovery_epochs: int = 5,
        b_drop: float | None = 0.1,
    ) -> None:
        modes = {mode.lower(): mode for mode in MODES}
        if str(pruning_mode).lower() not in modes:
            raise ValueError(f"pruning_mode is {pruning_mode}. Fix: one of {', '.join(MODES)}.")
        if prune_every_n_epochs < 1 or recovery_epochs < 0 or not 0 < prune_percentage < 100:
            raise ValueError(
                "prune_every_n_epochs is 1 or more, recovery_epochs 0 or more and prune_percentage "
                f"between 0 and 100; got {prune_every_n_epochs}, {recovery_epochs}, "
                f"{prune_percentage}."
            )
        self.mode = modes[str(pruning_mode).lower()]
        self.interval = max(prune_every_n_epochs, recovery_epochs)
        self.percentage = prune_percentage
        self.most = total_pruning_iterations
        self.recovery = recovery_epochs
        self.b_drop = b_drop
        self.done = 0
        """How often filters were removed."""
        self.first = 0
        """Filters that there were at first."""
        self._importance: dict[str, Tensor] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """See that the network can be pruned."""
        network = _network(pl_module)
        if trainer.world_size > 1:
            raise ConfigError(
                "PruningCallback: a network that shrinks cannot be on several cards. Fix: gpus: 1."
            )
        self.first = self.first or sum(network.widths.values())

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Any
    ) -> None:
        """Sum up what the gradients of the epoch before a removal say."""
        if self.mode == "Taylor" and self._is_due(trainer):
            for name, found in _network(pl_module).importance("Taylor").items():
                if torch.isfinite(found).all():
                    self._importance[name] = found + self._importance.get(name, 0)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remove filters when it is time."""
        if not self._is_due(trainer):
            return
        network = _network(pl_module)
        importance = self._importance
        if not importance:
            # Gradients of no step were finite: the weights themselves tell.
            importance = network.importance("L1" if self.mode == "L1" else "L2")
        self._importance = {}
        spare = sum(len(scores) - 1 for scores in importance.values())
        count = min(max(1, round(self.first * self.percentage / 100)), spare)
        if count < 1:
            return
        pruned = network.prune(importance, count)
        for optimizer in trainer.optimizers:
            pruned.adapt(optimizer)
        if self.b_drop is not None:
            left = {n: s[_kept(len(s), pruned.removed.get(n, []))] for n, s in importance.items()}
            network.target_dropout(left, base=self.b_drop)
        network.zero_grad(set_to_none=True)
        self.done += 1
        log.info(
            "pruned: %d filters went, %d of %d are left, %s weights.",
            count,
            sum(network.widths.values()),
            self.first,
            f"{sum(p.numel() for p in network.parameters()):,}",
        )

    def state_dict(self) -> dict[str, Any]:
        """How far it has come."""
        return {"done": self.done, "first": self.first}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.done, self.first = state_dict["done"], state_dict["first"]

    def _is_due(self, trainer: Trainer) -> bool:
        """Whether filters go at the end of the present epoch."""
        over = trainer.current_epoch + 1
        left = (trainer.max_epochs or over) - over
        more = self.most is None or self.done < self.most
        return more and over % self.interval == 0 and left >= max(1, self.recovery)


def _kept(count: int, gone: list[int]) -> Tensor:
    return torch.tensor([i for i in range(count) if i not in gone])


def _network(module: LightningModule) -> STAMPUNet:
    network = getattr(module, "network", None)
    if not isinstance(network, STAMPUNet):
        raise ConfigError(
            f"PruningCallback: {type(network).__name__} cannot be pruned. "
            "Fix: model.name STAMPUNet or ImproveSTAMPUNet."
        )
    return network
