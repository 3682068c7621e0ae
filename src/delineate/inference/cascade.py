"""Models in stages as one: is it there, where is it, and what does it look like from close by.

    scan -> Gate ------> Focus ---------> Segment --> mask on the scan's own grid
            absent:      crops to what    sees the crop alone; its mask is pasted back
            background   it has found

Each stage runs once at most, and never on more than the scan: a cascade takes no longer than its
stages would on the whole scan. What a stage sees is the crop that the stages before it have left,
on the scan's own grid and in its own intensities; its model brings it to the grid of its plan.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch

from delineate.inference.cascade_labels import join_labels
from delineate.inference.model import Committee, Model
from delineate.labels import Labels

__all__ = ["Cascade", "Focus", "Gate", "Given", "PresenceGate", "Segment", "Stage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Goes on only where the mask of the stage has the structure; else the rest is background."""

    structure: str | None = None
    """A class of any rank; None is any class."""
    least_mm3: float = 0.0
    """Less of it counts as absent; in pictures, pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PresenceGate:
    """Goes on only where the image-level output says that the structure is there.

    The scan's probability is the highest of all windows, each the mean over the model's networks.
    """

    structure: str
    """A class with an id of its own: the network has one image-level output for each."""
    probability: float = 0.5
    """From here on it counts as present."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Focus:
    """Crops the scan to the structure for all stages that follow."""

    structure: str | None = None
    """A class of any rank; None is any class."""
    margin_mm: float = 20.0
    """Kept on every side of it; in pictures, pixels."""
    least_mm3: float = 0.0
    """Less of it counts as not found; in pictures, pixels."""
    otherwise: Literal["whole", "background"] = "whole"
    """Where it is not found: the next stages see what this one saw, or are not run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Draws what the cascade answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What an earlier stage has found, as the last input channels of a model.

    The model must have been trained on such channels: the earlier stage's masks, or probabilities,
    saved as images beside the scan.
    """

    stage: str
    what: Literal["mask", "classes", "probabilities"] = "classes"
    """'mask' is one channel of ids; the others are one channel for each class with an id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One model, and what becomes of its answer."""

    name: str
    model: Model | Committee
    does: Gate | PresenceGate | Focus | Segment
    given: Given | None = None
    answer: Mapping[str, int] | None = None
    """Which of the model's classes the cascade answers, and under which ids. None is all of them,
    under their own, for a Segment, and nothing for the others."""

    @property
    def answers(self) -> bool:
        """Whether anything of it is in the cascade's mask."""
        return isinstance(self.does, Segment) if self.answer is None else bool(self.answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cascade:
    """Stages in their order; where two answer for one voxel, the later one is right."""

    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise ValueError("two stages have one name")
        if not any(stage.answers for stage in self.stages):
            raise ValueError("no stage draws anything: a cascade needs one that segments")
        for stage in self.stages:
            self._check(stage)
        own = {self.own_channels(stage) for stage in self.stages}
        if len(own) > 1 and any(len(set(channels)) < len(channels) for channels in own):
            raise ValueError("a stage has two channels of one name: they cannot be told apart")
        # Two classes with one id are found here, before any scan is read.
        assert self.labels.classes, "a stage that answers has classes"

    @property
    def labels(self) -> Labels:
        """What its masks mean."""
        return join_labels([(s.model.labels, s.answer) for s in self.stages if s.answers])

    @property
    def channels(self) -> tuple[str, ...]:
        """The images that it needs of each scan: those of all stages, the first one's first."""
        found = list(self.own_channels(self.stages[0]))
        for stage in self.stages[1:]:
            found += [name for name in self.own_channels(stage) if name not in found]
        return tuple(found)

    def own_channels(self, stage: Stage) -> tuple[str, ...]:
        """The images of the scan that a stage needs; what an earlier one gives follows them."""
        channels = stage.model.channels
        if stage.given is None:
            return channels
        labels = self.giver(stage.given).model.labels
        number = 1 if stage.given.what == "mask" else len(labels.leaves)
        return channels[: max(0, len(channels) - number)]

    def giver(self, given: Given) -> Stage:
        """The stage that is meant."""
        return next(stage for stage in self.stages if stage.name == given.stage)

    def to(self, device: torch.device | str) -> "Cascade":
        """The same cascade, its networks moved to `device` and put in evaluation mode."""
        for stage in self.stages:
            stage.model.to(device)
        return self

    def _check(self, stage: Stage) -> None:
        """What a stage says of its own model and of earlier stages is so; else a ValueError."""
        names, does = stage.model.labels.names, stage.does
        structure = None if isinstance(does, Segment) else does.structure
        for name in (structure, *(stage.answer or ())):
            if name is not None and name not in names:
                raise ValueError(
                    f"stage '{stage.name}': its model has no class '{name}', but {', '.join(names)}"
                )
        if isinstance(does, PresenceGate):
            if not isinstance(stage.model, Model):
                raise ValueError(f"stage '{stage.name}': a presence gate is no committee's")
            if does.structure not in {leaf.name for leaf in stage.model.labels.leaves}:
                raise ValueError(
                    f"stage '{stage.name}': '{does.structure}' is a union of classes, and "
                    "image-level outputs are of classes with an id"
                )
        if stage.given is None:
            return
        earlier = [s.name for s in self.stages[: self.stages.index(stage)]]
        if stage.given.stage not in earlier:
            raise ValueError(
                f"stage '{stage.name}': it is given what '{stage.given.stage}' has found, "
                f"but before it there is {', '.join(earlier) or 'no stage'}"
            )
        giver = self.giver(stage.given)
        if isinstance(giver.does, PresenceGate):
            raise ValueError(f"stage '{stage.name}': the presence gate '{giver.name}' has no mask")
        if stage.given.what == "mask" and giver.model.labels.overlapping:
            raise ValueError(
                f"stage '{stage.name}': overlapping classes do not fit into one channel: "
                "give classes or probabilities"
            )
        if not self.own_channels(stage):
            raise ValueError(
                f"stage '{stage.name}': its model has {len(stage.model.channels)} channels, too "
                f"few for the scan and what '{giver.name}' gives"
            )
