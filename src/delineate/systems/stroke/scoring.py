"""The figures of a validation while training: hard, voxel by voxel, of every held-out case."""

from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from torch import nn

from delineate.engine.hardware import choose_device
from delineate.engine.validation import Scorer
from delineate.metrics.overlap import OVERLAP, count
from delineate.training import Lesson

__all__ = ["FIGURES", "StrokeScorer"]

FIGURES = ("val_sensitivity", "val_specificity", "val_precision")
"""What it gives besides Dice."""


class StrokeScorer:
    """The engine's Dice of every held-out case, and sensitivity, specificity and precision.

    Args:
        show: handed each case and its mask.
    """

    def __init__(self, lesson: Lesson, show: Callable[[str, np.ndarray], None]) -> None:
        self.cache = lesson.cache
        self.labels = lesson.plan.labels
        self.show = show
        self._found: list[dict[str, float]] = []
        self._dice = Scorer(
            lesson.cache,
            [case.id for case in lesson.split.validation],
            lesson.plan,
            device=choose_device(lesson.config.train.device),
            overlap=lesson.config.predict.overlap,
            seconds=None,
            show=self._take,
        )

    def __call__(self, network: nn.Module) -> dict[str, float]:
        """The figures of a network in evaluation mode."""
        self._found = []
        scores = self._dice(network)
        return scores | {name: _mean([case[name] for case in self._found]) for name in FIGURES}

    def state_dict(self) -> dict[str, Any]:
        """That of the Dice."""
        return self._dice.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._dice.load_state_dict(state)

    def _take(self, case: str, mask: np.ndarray) -> None:
        counts = count(mask, self.cache.read_mask(case), self.labels).values()
        self._found.append(
            {
                name: _mean([OVERLAP[name.removeprefix("val_")](one) for one in counts])
                for name in FIGURES
            }
        )
        self.show(case, mask)


def _mean(values: Sequence[float]) -> float:
    """Of those that have a value; NaN of none."""
    known = [value for value in values if not np.isnan(value)]
    return fmean(known) if known else float("nan")
