"""The LightningModule: network, loss, augmentation, optimiser. It knows no config and no files."""

from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

from delineate.augment import Sequence
from delineate.contracts import Batch, Output
from delineate.engine.clock import Clock
from delineate.engine.micro_batches import MicroBatches
from delineate.engine.schedules import Schedule
from delineate.losses import WeightedSum
from delineate.models import as_output

__all__ = ["Task"]


class Task(LightningModule):
    """What one optimiser step does; any Lightning Trainer can run it."""

    def __init__(
        self,
        network: nn.Module,
        loss: WeightedSum,
        *,
        augment: Sequence,
        optimizer: Optimizer,
        schedule: Schedule,
        clock: Clock,
        seed: int = 0,
        compiled: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self.compiled = compiled
        # A function and not a module: the network keeps the names of its weights, and whoever
        # scores or saves it has the plain one.
        call: Callable[[Tensor], Any] = network.__call__
        self._call = torch.compile(call) if compiled else call
        self.loss = loss
        self.augment = augment
        self.optimizer = optimizer
        self.schedule = schedule
        self.clock = clock
        self.seed = seed
        self.memory = MicroBatches()
        self._full_rates = [float(g["lr"]) for g in optimizer.param_groups]

    def forward(self, image: Tensor) -> Output:
        """The network's answer to a batch of images."""
        return as_output(self._call(image), image)

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """Move the batch as a whole."""
        return batch.to(device)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Set the learning rates that the progress asks for."""
        factor = self.schedule(self.clock.progress)
        for group, rate in zip(self.optimizer.param_groups, self._full_rates, strict=True):
            group["lr"] = rate * factor

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Augment, predict, compare: the sum of the named terms is what is trained."""
        # Autocast is for the network: half a noise field, half a mask would no longer fit together.
        with torch.no_grad(), torch.autocast(batch.image.device.type, enabled=False):
            batch = self.augment(batch, seed=self.seed)
        total, terms = self.memory.differentiate(self._terms, batch, self.network)
        return {"loss": total, "terms": terms}

    def _terms(self, batch: Batch) -> dict[str, Tensor]:
        return self.loss(self(batch.image), batch.target, progress=self.clock.progress)

    def configure_optimizers(self) -> Optimizer:
        """The optimiser that was handed in."""
        return self.optimizer
