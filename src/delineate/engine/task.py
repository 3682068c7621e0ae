"""The LightningModule: network, loss, augmentation, optimiser. It knows no config and no files."""

from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

from delineate.augment import Sequence
from delineate.contracts import Batch, Output
from delineate.engine.clock import Clock
from delineate.engine.optim import Schedule
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
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.augment = augment
        self.optimizer = optimizer
        self.schedule = schedule
        self.clock = clock
        self.seed = seed
        self._full_rates = [float(g["lr"]) for g in optimizer.param_groups]

    def forward(self, image: Tensor) -> Output:
        """The network's answer to a batch of images."""
        return as_output(self.network(image))

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
        terms = self.loss(self(batch.image), batch.target)
        total = torch.stack(list(terms.values())).sum()
        return {"loss": total, "terms": {k: v.detach() for k, v in terms.items()}}

    def configure_optimizers(self) -> Optimizer:
        """The optimiser that was handed in."""
        return self.optimizer
