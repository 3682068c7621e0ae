"""Weights that stand still for the first part of a training, or for all of it."""

from collections.abc import Mapping

from lightning.pytorch import Callback, Trainer
from torch import nn

from delineate.contracts import Batch
from delineate.engine.prefixes import check_prefixes, longest_prefix
from delineate.engine.task import Task

__all__ = ["Freeze"]


class Freeze(Callback):
    """Weights do not move until the progress reaches a share, by the beginning of their names.

    A frozen weight has no gradient, so it neither decays nor gathers momentum, and the running
    statistics of norms beside it stand still. What is frozen depends on the progress alone.

    Args:
        shares: the share of the training by the beginning of a weight's name, 1 for all of it; the
            longest that fits counts.
    """

    def __init__(self, shares: Mapping[str, float]) -> None:
        self.shares = dict(shares)
        self._weights: dict[str, list[nn.Parameter]] = {}
        self._norms: dict[str, list[nn.Module]] = {}

    def on_train_start(self, trainer: Trainer, task: Task) -> None:  # type: ignore[override]
        """Find the weights; a beginning that fits none is a ConfigError."""
        trained = {n: p for n, p in task.network.named_parameters() if p.requires_grad}
        check_prefixes("freeze", self.shares, trained.keys())
        self._weights = {prefix: [] for prefix in self.shares}
        self._norms = {prefix: [] for prefix in self.shares}
        for name, weight in trained.items():
            if prefix := longest_prefix(name, self.shares):
                self._weights[prefix].append(weight)
        for name, module in task.network.named_modules():
            prefix = longest_prefix(name, self.shares)
            if prefix and getattr(module, "running_mean", None) is not None:
                self._norms[prefix].append(module)

    def on_train_batch_start(  # type: ignore[override]
        self, trainer: Trainer, task: Task, batch: Batch, batch_idx: int
    ) -> None:
        """Freeze and thaw as the progress says."""
        # Every time: a validation puts the whole network back into training mode.
        for prefix, share in self.shares.items():
            self._set(prefix, moves=share < 1 and task.clock.progress >= share)

    def on_train_end(self, trainer: Trainer, task: Task) -> None:  # type: ignore[override]
        """Thaw everything: the network is handed back as it came."""
        for prefix in self.shares:
            self._set(prefix, moves=True)

    def _set(self, prefix: str, *, moves: bool) -> None:
        for weight in self._weights[prefix]:
            weight.requires_grad_(moves)
        for norm in self._norms[prefix]:
            norm.training = moves
