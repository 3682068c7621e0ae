"""The Dice of whole prepared cases: the figure that picks the best weights."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from delineate.contracts import Output, Target
from delineate.data import Cache
from delineate.inference import predict_logits, windows_of
from delineate.losses import WeightedSum
from delineate.metrics.overlap import OVERLAP, count
from delineate.plan import Plan

__all__ = ["VAL_LOSS", "Scorer"]

VAL_LOSS = "val_loss"
Show = Callable[[str, np.ndarray], None]

log = logging.getLogger("delineate")


class Scorer:
    """From a network to `val_dice/<class>` over the cases, and `val_dice`, their mean.

    Args:
        seconds: what one scoring may take. The first one stops there, and the cases that it came to
            are the ones that are scored from then on; None scores all.
        show: handed each case and its mask, channel indices (*s) or layers (k, *s).
        loss: gives `val_loss` too, of whole cases with the weights that its terms have at the end
            of a training, so that validations compare; the cache has its distances if it needs any.
    """

    def __init__(
        self,
        cache: Cache,
        cases: Sequence[str],
        plan: Plan,
        *,
        device: str,
        overlap: float,
        seconds: float | None,
        show: Show | None = None,
        loss: WeightedSum | None = None,
    ) -> None:
        self.cache = cache
        self.cases = tuple(cases)
        self.labels = plan.labels
        self.windows = windows_of(plan, overlap=overlap)
        self.device = device
        self.show = show
        self.loss = loss
        self._losses: list[float] = []
        self._seconds = seconds

    @torch.inference_mode()
    def __call__(self, network: nn.Module) -> dict[str, float]:
        """The figures of a network in evaluation mode."""
        found, self._losses = [], []
        started = time.monotonic()
        for case in self.cases:
            found.append(self._dice(network, case))
            if self._seconds is not None and time.monotonic() - started > self._seconds:
                break
        self._keep(len(found))
        means = np.mean(found, axis=0)
        names = self.labels.names
        by_class = {f"val_dice/{n}": float(m) for n, m in zip(names, means, strict=True)}
        losses = {VAL_LOSS: float(np.mean(self._losses))} if self.loss is not None else {}
        return by_class | losses | {"val_dice": float(np.mean(means))}

    def state_dict(self) -> dict[str, Any]:
        """The cases that are scored, and whether their number is still to be found."""
        return {"cases": self.cases, "seconds": self._seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Score the same cases as before."""
        self.cases, self._seconds = state["cases"], state["seconds"]

    def _dice(self, network: nn.Module, case: str) -> list[float]:
        image = torch.from_numpy(self.cache.read_image(case))
        logits = predict_logits(
            network, image, self.windows, channels=self.labels.channels, device=self.device
        )
        found = logits > 0 if self.labels.overlapping else logits.argmax(0)
        mask = found.cpu().numpy().astype(np.int16)
        if self.show is not None:
            self.show(case, mask)
        truth = self.cache.read_mask(case)
        if self.loss is not None:
            self._losses.append(self._measure(logits, truth, case))
        counts = count(mask, truth, self.labels)
        return [OVERLAP["dice"](counts[name]) for name in self.labels.names]

    def _measure(self, logits: torch.Tensor, truth: np.ndarray, case: str) -> float:
        assert self.loss is not None
        mask, distance = torch.from_numpy(truth).to(logits.device), None
        if self.loss.needs_distance:
            maps = np.empty(logits.shape, np.float32)
            self.cache.read_distance(case, (0,) * (maps.ndim - 1), out=maps)
            distance = torch.from_numpy(maps).to(logits.device)[None]
        target = Target(
            mask=(mask.float() if self.labels.overlapping else mask)[None], distance=distance
        )
        return sum(
            map(float, self.loss(Output(logits=logits[None]), target, progress=1.0).values())
        )

    def _keep(self, number: int) -> None:
        """Score the same cases from now on: figures of different cases do not compare."""
        if number < len(self.cases):
            log.info(
                "validation: %d of %d held-out cases, the others would take too long",
                number,
                len(self.cases),
            )
        self.cases, self._seconds = self.cases[:number], None
