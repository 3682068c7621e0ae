"""The Dice of whole prepared cases: the figure that picks the best weights."""

import logging
import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from delineate.data import Cache
from delineate.inference import predict_logits, windows_of
from delineate.metrics.overlap import OVERLAP, count
from delineate.plan import Plan

__all__ = ["Scorer"]

log = logging.getLogger("delineate")


class Scorer:
    """From a network to `val_dice/<class>` over the cases, and `val_dice`, their mean.

    Args:
        seconds: what one scoring may take. The first one stops there, and the cases that it came to
            are the ones that are scored from then on; None scores all.
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
    ) -> None:
        self.cache = cache
        self.cases = tuple(cases)
        self.labels = plan.labels
        self.windows = windows_of(plan, overlap=overlap)
        self.device = device
        self._seconds = seconds

    @torch.inference_mode()
    def __call__(self, network: nn.Module) -> dict[str, float]:
        """The figures of a network in evaluation mode."""
        found = []
        started = time.monotonic()
        for case in self.cases:
            found.append(self._dice(network, case))
            if self._seconds is not None and time.monotonic() - started > self._seconds:
                break
        self._keep(len(found))
        means = np.mean(found, axis=0)
        names = self.labels.names
        by_class = {f"val_dice/{n}": float(m) for n, m in zip(names, means, strict=True)}
        return by_class | {"val_dice": float(np.mean(means))}

    def _dice(self, network: nn.Module, case: str) -> list[float]:
        image = torch.from_numpy(self.cache.read_image(case))
        logits = predict_logits(
            network, image, self.windows, channels=self.labels.channels, device=self.device
        )
        mask = logits > 0 if self.labels.overlapping else logits.argmax(0)
        truth = self.cache.read_mask(case)
        counts = count(mask.cpu().numpy().astype(np.int16), truth, self.labels)
        return [OVERLAP["dice"](counts[name]) for name in self.labels.names]

    def _keep(self, number: int) -> None:
        """Score the same cases from now on: figures of different cases do not compare."""
        if number < len(self.cases):
            log.info(
                "validation: %d of %d held-out cases, the others would take too long",
                number,
                len(self.cases),
            )
        self.cases, self._seconds = self.cases[:number], None
