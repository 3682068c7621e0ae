"""A training that diverges goes back to where it was sound, and on from there more slowly."""

import copy
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor
from torch.optim import Optimizer

from delineate.contracts import Batch
from delineate.engine.callbacks import Stateful
from delineate.engine.task import Task
from delineate.errors import DataError

__all__ = ["Divergence"]

log = logging.getLogger("delineate")

SCALER_PATIENCE = 20
"""Steps in a row that a loss scaler (fp16) may skip: it halves the scale at each of them."""


class Divergence(Callback):
    """Skips a step whose gradient is not finite; if it happens again at once, rolls back.

    The weights, the optimiser and what `also` names go back to a copy that is `every` to twice
    `every` steps old, so from before the weights went wrong; the rate is lowered by `factor` for
    the rest, and training goes on with the next step's samples. After `limit` times it ends with a
    DataError. A loss that is not finite has such a gradient. fp16 skips steps in its search for a
    scale: those do not count unless they go on.

    The copies are in memory and not in the state: a run that is killed and resumed less than twice
    `every` steps before it diverges goes back to where it was resumed.

    Args:
        also: what else to put back, asked for at each copy.
    """

    def __init__(
        self,
        also: Callable[[], Sequence[Stateful]] = tuple,
        *,
        every: int = 50,
        factor: float = 0.5,
        limit: int = 4,
        patience: int = 2,
    ) -> None:
        self.also = also
        self.every = every
        self.factor = factor
        self.limit = limit
        self.patience = patience
        self.times = 0
        self._bad = 0
        self._copies: deque[list[Any]] = deque(maxlen=2)
        self._copied = -1
        self._cases: list[str] = []

    def on_train_start(self, trainer: Trainer, task: Task) -> None:  # type: ignore[override]
        """Begin without copies."""
        self._copies.clear()

    def on_train_batch_start(  # type: ignore[override]
        self, trainer: Trainer, task: Task, batch: Batch, batch_idx: int
    ) -> None:
        """Remember the cases of the step, to name them; copy at intervals, and at the start."""
        step = task.clock.step
        due = step % self.every == 0 and step != self._copied and not self._bad
        if due or not self._copies:
            self._copies.append(self._copy(task))
            self._copied = step
        self._cases += batch.cases

    def on_before_optimizer_step(  # type: ignore[override]
        self, trainer: Trainer, task: Task, optimizer: Optimizer
    ) -> None:
        """Look at the gradients; the rate that the task has set is lowered here."""
        for group in optimizer.param_groups:
            group["lr"] *= self.factor**self.times
        cases, self._cases = sorted(set(self._cases)), []
        gradients = [p.grad for p in task.network.parameters() if p.grad is not None]
        if _finite(gradients):
            self._bad = 0
            return
        self._bad += 1
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        if self._bad >= (self.patience if scaler is None else SCALER_PATIENCE):
            self._roll_back(task, cases)
        elif scaler is None:
            self._say_skipped(task.clock.step + 1, cases)
        self._skip(task)

    def state_dict(self) -> dict[str, Any]:
        """How often it went back, and how many of the last steps were bad."""
        return {"times": self.times, "bad": self._bad}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the lowered rate."""
        self.times, self._bad = state_dict["times"], state_dict["bad"]

    def _say_skipped(self, step: int, cases: list[str]) -> None:
        log.warning(
            "step %d: the gradient is not finite; the step is skipped (cases %s)",
            step,
            ", ".join(cases),
        )

    def _roll_back(self, task: Task, cases: list[str]) -> None:
        step = task.clock.step + 1
        if self.times == self.limit:
            raise DataError(self._say_end(step, cases))
        self.times += 1
        self._bad = 0
        oldest = self._copies[0]
        self._copies.clear()
        self._copies.append(oldest)
        with torch.no_grad():
            for part, state in zip(self._parts(task), copy.deepcopy(oldest), strict=True):
                part.load_state_dict(state)
        log.warning(
            "step %d: the gradient is not finite again; back to the last sound weights, "
            "with %g times the rate from here (%d of %d)",
            step,
            self.factor**self.times,
            self.times,
            self.limit,
        )

    def _say_end(self, step: int, cases: list[str]) -> str:
        return (
            f"step {step}: training diverges. It went back to sound weights {self.limit} times, "
            f"the last time with {self.factor**self.times:g} times the rate, and the gradient "
            f"still is not finite. The last cases were {', '.join(cases)}. Fix: a lower "
            "optimizer.lr, train.clip: 1, train.precision: fp32; if it is always these cases, "
            "look at them with delineate doctor."
        )

    def _skip(self, task: Task) -> None:
        """Take the gradients away, so that the optimiser does nothing, and mend the statistics."""
        for weight in task.network.parameters():
            weight.grad = None
        # The forward pass has already put the bad batch into the running statistics of norms.
        good = self._copies[-1][0]
        for name, buffer in task.network.named_buffers():
            if name in good and not _finite([buffer]):
                buffer.copy_(good[name])

    def _parts(self, task: Task) -> list[Any]:
        return [task.network, task.optimizer, *self.also()]

    def _copy(self, task: Task) -> list[Any]:
        return [copy.deepcopy(part.state_dict()) for part in self._parts(task)]


def _finite(tensors: list[Tensor]) -> bool:
    floating = [t.detach() for t in tensors if t.is_floating_point()]
    return not floating or bool(torch.nn.utils.get_total_norm(floating).isfinite())
