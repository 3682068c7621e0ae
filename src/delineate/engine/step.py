"""One training step with its parts told apart: what the trainer does, in a plain loop."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext

import torch
from torch import Tensor, nn

from delineate.contracts import Batch
from delineate.engine.hardware import Precision
from delineate.engine.task import Task
from delineate.engine.weights import Average
from delineate.models import as_output

__all__ = ["PARTS", "Part", "TrainingStep"]

PARTS = ("read", "transfer", "augment", "forward", "loss", "backward", "optimiser")
"""Where the time of a step can go; whoever asks for batches times the first."""
Part = Callable[[str], AbstractContextManager[object]]
"""What surrounds a part of a step, given its name."""

_KINDS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TrainingStep:
    """Moves the weights by one batch as `fit` does, average of the weights included.

    Nothing is frozen: what a step costs once all weights move.

    Args:
        task: goes to the device; its clock is started.
        clip: the norm that gradients are cut to; 0 turns it off.
        accumulate: batches whose gradients are averaged before the optimiser moves.
        ema: the decay of the average of the weights; 0 turns it off.
    """

    def __init__(
        self,
        task: Task,
        *,
        device: str,
        precision: Precision,
        clip: float,
        accumulate: int,
        ema: float,
    ) -> None:
        self.task = task.to(device).train()
        self.device = device
        self.precision: Precision = precision
        self.clip = clip
        self.accumulate = accumulate
        self.average = Average(task.network, ema) if ema else None
        self.batches = 0
        self._scaler = torch.GradScaler(device, enabled=precision == "fp16")
        task.memory.scaler = self._scaler
        task.clock.start()

    @property
    def kind(self) -> torch.dtype:
        """The type that the network computes in."""
        return _KINDS[self.precision]

    def __call__(self, batch: Batch, part: Part = lambda _: nullcontext()) -> None:
        """Do all that follows reading."""
        with part("transfer"):
            batch = batch.to(self.device)
        self.task.on_train_batch_start(batch, self.batches)
        with part("augment"):
            batch = self._augmented(batch)
        self._differentiate(batch, part)
        with part("optimiser"):
            self.batches += 1
            if self.batches % self.accumulate == 0:
                self._move()

    def both_passes(self, batch: Batch) -> None:
        """Forward and backward pass of the network as it is written, not compiled; no step."""
        batch = self._augmented(batch.to(self.device))
        with self._autocast():
            terms = self._terms(batch, self.task.network, lambda _: nullcontext())
        torch.stack(list(terms.values())).sum().backward()
        self.task.optimizer.zero_grad()

    def _augmented(self, batch: Batch) -> Batch:
        with torch.no_grad():
            return self.task.augment(batch, seed=self.task.seed)

    def _differentiate(self, batch: Batch, part: Part) -> None:
        """All passes, as many as memory asks for: what is between two forward ones is backward."""
        with ExitStack() as backward:

            def compute(some: Batch) -> dict[str, Tensor]:
                backward.close()
                terms = self._terms(some, self.task, part)
                backward.enter_context(part("backward"))
                return terms

            with self._autocast():
                total, _ = self.task.memory.differentiate(compute, batch, self.task.network)
            self._scaler.scale(total / self.accumulate).backward()

    def _terms(self, batch: Batch, network: nn.Module, part: Part) -> dict[str, Tensor]:
        with part("forward"):
            output = as_output(network(batch.image))
        with part("loss"):
            return self.task.loss(output, batch.target, progress=self.task.clock.progress)

    def _autocast(self) -> torch.autocast:
        half = self.precision != "fp32"
        return torch.autocast(self.device, self.kind if half else None, enabled=half)

    def _move(self) -> None:
        optimizer = self.task.optimizer
        if self.clip:
            self._scaler.unscale_(optimizer)
            weights = [weight for group in optimizer.param_groups for weight in group["params"]]
            nn.utils.clip_grad_norm_(weights, self.clip)
        self._scaler.step(optimizer)
        self._scaler.update()
        optimizer.zero_grad()
        if self.average is not None:
            self.average.update(self.task.network)
