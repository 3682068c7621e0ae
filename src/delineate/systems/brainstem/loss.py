"""The documented loss: focal + boundary_weight * boundary + hierarchy_weight * hierarchy.

- focal: alpha (1 - p)^gamma times the cross-entropy of a voxel, the mean over all.
- boundary: `losses.Edges`, slopes of the probabilities against those of the truth, class by class.
- hierarchy: the same focal loss of subdivisions and of every other level above the nuclei, whose
  probabilities are the sums of their nuclei's.

With dice_weight > 0, dice_weight * (1 - Dice over the batch) is added: small nuclei learn sooner.

How we differ from the origin. Its boundary term compares probabilities with the slopes of the ids
themselves, so the truth is not its minimum and costs more the higher the id is. Its levels sum
logits, and are tied to sixteen classes; ours are whatever the labels nest.
"""

import logging
from typing import Any

from torch import Tensor

from delineate.config import LossTerm, build
from delineate.contracts import Output, Target
from delineate.labels import Labels
from delineate.losses import Term, WeightedSum, as_term
from delineate.systems.brainstem.settings import TrainingConfig

__all__ = ["HierarchicalLoss", "terms"]

log = logging.getLogger("delineate")


def terms(config: TrainingConfig, labels: Labels) -> list[dict[str, Any]]:
    """The entries of `Config.loss`; without nested labels there is no hierarchy to keep."""
    focal = {"name": "Focal", "gamma": config.focal_gamma, "weight": config.focal_alpha}
    found = [focal]
    if config.boundary_weight > 0:
        found.append({"name": "Edges", "weight": config.boundary_weight})
    if config.dice_weight > 0:
        found.append({"name": "Dice", "batch": True, "weight": config.dice_weight})
    if config.hierarchy_weight > 0 and len(labels.levels) > 1:
        weight = config.hierarchy_weight * config.focal_alpha
        found.append(focal | {"name": "HierarchicalFocal", "weight": weight})
    elif config.hierarchy_weight > 0:
        log.info("no class of the labels unites others: the loss has no hierarchy term")
    return found


class HierarchicalLoss:
    """The terms of a training, and their sum, of logits and ids.

    Args:
        labels: classes and their parents; ids in masks are their channels, -1 is ignored.
        config: the weights.
    """

    def __init__(self, labels: Labels, config: TrainingConfig) -> None:
        self.config = config
        entries = terms(config, labels)
        made: dict[str, Term] = {}
        for entry in entries:
            part = LossTerm.model_validate(entry)
            given = {"overlapping": labels.overlapping, "labels": labels}
            made[part.name] = as_term(build(part, "delineate.losses", **given))
        self._sum = WeightedSum(made, {entry["name"]: entry["weight"] for entry in entries})

    def __call__(self, logits: Tensor | Output, labels: Tensor) -> dict[str, Tensor]:
        """`total_loss`, and before their weights `focal_loss`, `boundary_loss`, `hierarchy_loss`.

        A term that is left out is 0; `dice_loss` is there with `dice_weight` only.

        Args:
            logits: (b, k, *s), or what a network returned.
            labels: (b, *s) or (b, 1, *s) channels.
        """
        output = logits if isinstance(logits, Output) else Output(logits=logits)
        if output.logits is not None and labels.dim() == output.logits.dim():
            labels = labels.squeeze(1)
        found = self._sum(output, Target(mask=labels))
        zero = found["Focal"].new_zeros(())
        config = self.config
        said = {
            "total_loss": sum(found.values(), zero),
            "focal_loss": found["Focal"],
            "boundary_loss": _before(found.get("Edges", zero), config.boundary_weight),
            "hierarchy_loss": _before(
                found.get("HierarchicalFocal", zero), config.hierarchy_weight
            ),
        }
        if "Dice" in found:
            said["dice_loss"] = _before(found["Dice"], config.dice_weight)
        return said


def _before(term: Tensor, weight: float) -> Tensor:
    """A term before it was weighted."""
    return term / weight if weight > 0 else term
