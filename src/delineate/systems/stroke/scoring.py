"""The figures while training: hard, voxel by voxel; of a validation, for every held-out case."""

from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from torch import nn

from delineate.data.distances import make_distances
from delineate.engine.hardware import choose_device
from delineate.engine.tally import Tally
from delineate.engine.validation import VAL_LOSS, Scorer
from delineate.metrics.overlap import OVERLAP, count
from delineate.training import Lesson

__all__ = ["FIGURES", "TALLY", "StrokeScorer", "tally_of"]

OVERLAPS = ("val_sensitivity", "val_specificity", "val_precision", "val_accuracy")
FIGURES = (VAL_LOSS, *OVERLAPS)
"""What a validation gives besides Dice."""
TALLY = f"{Tally.__module__}.{Tally.__name__}"
"""The term of the loss that counts how right training is."""


def tally_of(lesson: Lesson) -> Tally:
    """That of a training's loss."""
    (tally,) = (term for term in lesson.task.loss.terms.values() if isinstance(term, Tally))
    return tally


class StrokeScorer:
    """The engine's Dice and loss of every held-out case, and the other `OVERLAPS`.

    Args:
        show: handed each case and its mask.
    """

    def __init__(self, lesson: Lesson, show: Callable[[str, np.ndarray], None]) -> None:
        loss, plan = lesson.task.loss, lesson.plan
        cases = [case.id for case in lesson.split.validation]
        cache = make_distances(lesson.cache, plan, cases) if loss.needs_distance else lesson.cache
        self.cache = cache
        self.labels = plan.labels
        self.show = show
        self._found: list[dict[str, float]] = []
        self._dice = Scorer(
            cache,
            cases,
            plan,
            device=choose_device(lesson.config.train.device),
            overlap=lesson.config.predict.overlap,
            seconds=None,
            show=self._take,
            loss=loss,
        )

    def __call__(self, network: nn.Module) -> dict[str, float]:
        """The figures of a network in evaluation mode."""
        self._found = []
        scores = self._dice(network)
        return scores | {name: _mean([case[name] for case in self._found]) for name in OVERLAPS}

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
                for name in OVERLAPS
            }
        )
        self.show(case, mask)


def _mean(values: Sequence[float]) -> float:
    """Of those that have a value; NaN of none."""
    known = [value for value in values if not np.isnan(value)]
    return fmean(known) if known else float("nan")
