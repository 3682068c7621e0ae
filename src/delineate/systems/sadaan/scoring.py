"""How right an answer is: presence, and hard Dice of what the presence lets through."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from delineate.contracts import Output, Target
from delineate.datasets import Case
from delineate.engine.validation import VAL_LOSS
from delineate.losses import WeightedSum
from delineate.models import as_output
from delineate.training import Lesson

__all__ = ["Scorer", "Tally", "agreement", "gated"]

Show = Callable[[str, np.ndarray], None]


def gated(output: Output, threshold: float) -> tuple[Tensor, Tensor]:
    """Masks (b, s, *v) and presence (b, s) as bool: what is held for absent has an empty mask."""
    if output.logits is None or output.presence is None:
        raise ValueError("SADAAN is scored by masks and presence; the network has not both.")
    there = output.presence.float().sigmoid() >= threshold
    shape = (*there.shape, *(1 for _ in output.logits.shape[2:]))
    return (output.logits > 0) & there.view(shape), there


def agreement(output: Output, target: Target, *, threshold: float) -> tuple[Tensor, Tensor]:
    """Presence right (1) or wrong (0), and hard Dice, both (b, s).

    A structure that is in neither mask has a Dice of 1, one that is in only one of them 0; a
    presence that is not declared counts by the mask.
    """
    if target.mask is None:
        raise ValueError("SADAAN is scored by masks; this batch has none.")
    found, there = gated(output, threshold)
    true = target.mask > 0
    common, predicted, size = (m.flatten(2).sum(2) for m in (found & true, found, true))
    total = predicted + size
    dice = torch.where(total > 0, 2 * common / total.clamp(min=1), 1.0)
    present = size > 0
    if target.presence is not None:
        present = torch.where(target.presence < 0, present, target.presence > 0.5)
    return (there == present).float(), dice


class Tally:
    """A term without weight that keeps count of how right training is; see `agreement`.

    It is no loss: what it returns is 0. A forward pass without gradients is not counted.

    Args:
        threshold: of the probability that a structure is present.
    """

    def __init__(self, *, threshold: float) -> None:
        self.threshold = threshold
        self._sums = torch.zeros(2, dtype=torch.float64)
        self._samples = 0

    @torch.no_grad()
    def _count(self, output: Output, target: Target) -> None:
        found = agreement(output, target, threshold=self.threshold)
        sums = torch.stack([figure.mean(1).sum().double() for figure in found])
        self._sums = self._sums.to(sums.device) + sums
        self._samples += len(found[0])

    def __call__(self, output: Output, target: Target) -> Tensor:
        """Count, and add nothing."""
        assert output.logits is not None
        if torch.is_grad_enabled() and not output.logits.is_meta:
            self._count(output, target)
        return output.logits.new_zeros(())

    def take(self) -> tuple[float, float]:
        """Mean presence accuracy and mean Dice since the last call; NaN of nothing."""
        presence, dice = (self._sums / self._samples).tolist()
        self._sums, self._samples = torch.zeros_like(self._sums), 0
        return presence, dice

    def state_dict(self) -> dict[str, Any]:
        """The sums so far."""
        return {"sums": self._sums, "samples": self._samples}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on counting."""
        self._sums, self._samples = state["sums"], state["samples"]


class Scorer:
    """From a network to the figures of the validation samples, each seen as a whole.

    `val_dice/<structure>` and their mean `val_dice`, which picks the best weights; the same of
    `val_presence`, the accuracy of presence; and `val_loss`, the weighted loss.

    Args:
        threshold: of the probability that a structure is present.
        show: handed each sample and its masks (s, *v).
    """

    def __init__(
        self, lesson: Lesson, *, device: str, threshold: float, show: Show | None = None
    ) -> None:
        self.cache = lesson.cache
        self.cases = tuple(lesson.split.validation)
        self.plan = lesson.plan
        self.loss: WeightedSum = lesson.task.loss
        self.device = device
        self.threshold = threshold
        self.show = show

    @property
    def figures(self) -> list[str]:
        """What it gives besides Dice."""
        names = [leaf.name for leaf in self.plan.labels.leaves]
        return [VAL_LOSS, "val_presence", *(f"val_presence/{name}" for name in names)]

    @torch.inference_mode()
    def __call__(self, network: nn.Module) -> dict[str, float]:
        """The figures of a network in evaluation mode."""
        rows = [self._look(network, case) for case in self.cases]
        presence, dice, loss = (np.mean([row[i] for row in rows], axis=0) for i in range(3))
        names = [leaf.name for leaf in self.plan.labels.leaves]
        scores = {VAL_LOSS: float(loss)}
        for kind, figures in (("val_dice", dice), ("val_presence", presence)):
            scores |= {f"{kind}/{n}": float(f) for n, f in zip(names, figures, strict=True)}
            scores[kind] = float(np.mean(figures))
        return scores

    def _look(self, network: nn.Module, case: Case) -> tuple[Any, ...]:
        image, target = self._read(case)
        output = as_output(network(image), image)
        right, dice = agreement(output, target, threshold=self.threshold)
        loss = sum(float(term) for term in self.loss(output, target).values())
        if self.show is not None:
            found = gated(output, self.threshold)[0][0]
            inside = tuple(slice(-a, -a + n) for a, n in self._places(case.id))
            self.show(case.id, found[(..., *inside)].cpu().numpy().astype(np.int16))
        return right[0].cpu().numpy(), dice[0].cpu().numpy(), loss

    def _read(self, case: Case) -> tuple[Tensor, Target]:
        """The sample as training reads it, whole and in the middle of the patch."""
        start = tuple(a for a, _ in self._places(case.id))
        stop = tuple(a + p for a, p in zip(start, self.plan.patch, strict=True))
        image = torch.from_numpy(self.cache.read_image(case.id, start, stop))[None]
        mask = torch.from_numpy(self.cache.read_mask(case.id, start, stop)).float()[None]
        presence = None if case.presence is None else torch.tensor([case.presence]).float()
        target = Target(mask=mask, presence=presence).to(self.device)
        return image.to(self.device), target

    def _places(self, case: str) -> list[tuple[int, int]]:
        """Along each axis, where the patch begins in the sample, and the length of the sample."""
        shape = self.cache.shape(case)
        return [((n - p) // 2, n) for n, p in zip(shape, self.plan.patch, strict=True)]
