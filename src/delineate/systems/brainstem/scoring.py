"""The figures of a validation: Dice at each level, accuracy, violations of the hierarchy, loss."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import torch
from torch import Tensor, nn

from delineate.contracts import Output, Target
from delineate.engine.hardware import choose_device
from delineate.engine.validation import VAL_LOSS
from delineate.inference import windows_of
from delineate.inference.sliding import stream_logits
from delineate.labels import Class, Labels
from delineate.losses import WeightedSum
from delineate.metrics import Violations, count, level_violations
from delineate.training import Lesson

__all__ = ["ACCURACY", "FIGURES", "LEVELS", "VIOLATIONS", "BrainstemScorer", "levels_of"]

ACCURACY, VIOLATIONS = "val_accuracy", "val_violations"
LEVELS = ("nuclei", "subdivisions", "brainstem")
FIGURES = (VAL_LOSS, ACCURACY, VIOLATIONS, *(f"val_dice_{level}" for level in LEVELS))
"""What it gives besides `val_dice` and `val_dice/<class>`."""
AT_ONCE = 2**26
"""Logits that are looked at together."""
_FOREGROUND = Labels(classes=(Class(name="all", id=1),))


def levels_of(labels: Labels) -> dict[str, tuple[str, ...]]:
    """The classes of each level: those without parts, and unions of less than everything.

    The brainstem is all that is labelled, whatever it is called.
    """
    parents = {c.parent for c in labels.classes}
    everything = len(labels.leaves)
    unions = [n for n in labels.names if n in parents and len(labels.members(n)) < everything]
    nuclei = [n for n in labels.names if n not in parents]
    return {"nuclei": tuple(nuclei), "subdivisions": tuple(unions)}


@dataclass(frozen=True, slots=True)
class _Case:
    """What one case shows."""

    dice: dict[str, float]
    """By class, and that of all together under ""; NaN where neither mask has the class."""
    accuracy: float
    loss: float
    violations: Violations


class BrainstemScorer:
    """From a network to the figures of the held-out cases, each whole, in bounded memory.

    Dice is the mean over the cases that have the class in the truth or in the prediction, the Dice
    of a level that of its classes, and `val_dice`, which picks the best weights, that of the
    nuclei. The rate of violations counts the voxels of all cases. The loss is that of the logits as
    they come, slab after slab.

    Args:
        show: handed each case and its mask of channels (*s).
    """

    def __init__(
        self, lesson: Lesson, show: Callable[[str, np.ndarray], None] | None = None
    ) -> None:
        plan, config = lesson.plan, lesson.config
        self.cache = lesson.cache
        self.cases = tuple(case.id for case in lesson.split.validation)
        self.labels = plan.labels
        self.levels = levels_of(plan.labels)
        self.windows = windows_of(plan, overlap=config.predict.overlap)
        self.device = choose_device(config.train.device)
        self.loss: WeightedSum = lesson.task.loss
        self.show = show

    @torch.inference_mode()
    def __call__(self, network: nn.Module) -> dict[str, float]:
        """The figures of a network in evaluation mode."""
        found = [self._look(network, case) for case in self.cases]
        classes = {
            name: _mean(case.dice[name] for case in found) for name in ("", *self.labels.names)
        }
        scores = {f"val_dice/{name}": classes[name] for name in self.labels.names}
        for level, names in self.levels.items():
            scores[f"val_dice_{level}"] = _mean(classes[name] for name in names)
        scores["val_dice_brainstem"] = classes[""]
        violations = sum((case.violations for case in found), Violations())
        best = scores["val_dice_nuclei"]
        return scores | {
            "val_dice": 0.0 if np.isnan(best) else best,
            ACCURACY: _mean(case.accuracy for case in found),
            VIOLATIONS: violations.rate,
            VAL_LOSS: _mean(case.loss for case in found),
        }

    def _look(self, network: nn.Module, case: str) -> _Case:
        truth = self.cache.read_mask(case)
        mask = np.empty(truth.shape, np.int16)
        image = torch.from_numpy(self.cache.read_image(case))
        violations, loss = Violations(), 0.0
        axis = self.windows.slice_axis or 0
        for start, logits in self._slabs(network, image, axis):
            size = logits.shape[1 + axis]
            some = (*(slice(None),) * axis, slice(start, start + size))
            probabilities = logits.float().softmax(0).cpu().numpy()
            mask[some] = probabilities.argmax(0)
            violations += level_violations(probabilities, self.labels, truth[some])
            loss += self._measure(logits, truth[some]) * size / truth.shape[axis]
        if self.show is not None:
            self.show(case, mask)
        return _Case(*_compare(mask, truth, self.labels), loss, violations)

    def _slabs(self, network: nn.Module, image: Tensor, axis: int) -> Iterator[tuple[int, Tensor]]:
        """Logits along an axis, and where each slab of them starts."""
        for start, slab in stream_logits(
            network, image, self.windows, channels=self.labels.channels, device=self.device
        ):
            rows = max(1, AT_ONCE * slab.shape[1 + axis] // slab.numel())
            for place, part in enumerate(slab.split(rows, dim=1 + axis)):
                yield start + place * rows, part

    def _measure(self, logits: Tensor, truth: np.ndarray) -> float:
        """The weighted loss of a slab."""
        target = Target(mask=torch.from_numpy(truth)[None].to(logits.device))
        found = self.loss(Output(logits=logits[None]), target, progress=1.0)
        return sum(float(term) for term in found.values())


def _compare(mask: np.ndarray, truth: np.ndarray, labels: Labels) -> tuple[dict[str, float], float]:
    """Dice by class, and the share of right voxels of those that have a verdict."""
    counts = count(mask, truth, labels)
    counts[""] = count(np.minimum(mask, 1), np.minimum(truth, 1), _FOREGROUND)["all"]
    dice = {
        name: one.dice if one.true + one.predicted else float("nan") for name, one in counts.items()
    }
    known = truth >= 0
    total = np.count_nonzero(known)
    right = np.count_nonzero((mask == truth) & known)
    return dice, right / total if total else float("nan")


def _mean(values: Iterable[float]) -> float:
    """Of those that have a value; NaN of none."""
    known = [value for value in values if not np.isnan(value)]
    return fmean(known) if known else float("nan")
