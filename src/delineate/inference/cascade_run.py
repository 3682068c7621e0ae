"""The mask of a cascade: stage by stage, each on what those before it have left of the scan."""

import logging
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Protocol

import numpy as np
import torch

from delineate.errors import ConfigError, DataError
from delineate.geometry import Box
from delineate.inference.answer import NOTHING, Extras
from delineate.inference.cascade import Cascade, Focus, Gate, PresenceGate, Segment, Stage
from delineate.inference.cascade_crop import crop, grow, inside
from delineate.inference.cascade_labels import Draft, find_extent
from delineate.inference.model import Committee, Model
from delineate.inference.presence import find_presence
from delineate.inference.probabilities import Probabilities
from delineate.io import Volume

__all__ = ["Ask", "StagePrediction", "run_cascade"]

log = logging.getLogger("delineate")

_ROWS = 16
"""Of probabilities that are made at a time."""


class StagePrediction(Protocol):
    """What a model says of a crop: a `Prediction`."""

    @property
    def mask(self) -> Volume:
        """(1, *s) ids or (k, *s) layers."""
        ...

    @property
    def warnings(self) -> tuple[str, ...]:
        """How the crop leaves the domain of the model."""
        ...

    @property
    def probabilities(self) -> Probabilities | None:
        """Where they were asked for."""
        ...


class Ask(Protocol):
    """Predicts one model within the memory that there is, such as `predict_volume`."""

    def __call__(
        self, model: Model | Committee, volume: Volume, /, *, extras: Extras
    ) -> StagePrediction:
        """The model's mask of a scan."""
        ...


def run_cascade(
    cascade: Cascade,
    volume: Volume,
    ask: Ask,
    *,
    extras: Extras = NOTHING,
    memory_gb: float | None = None,
    device: torch.device | str = "cpu",
) -> tuple[Volume, tuple[str, ...]]:
    """The cascade's mask on the scan's canonical grid, and what is odd about scan and stages.

    A budget of memory is one for the whole process. What is held of the whole scan is held before
    the first stage asks how much there is, so a budget that each stage keeps holds for all.

    Args:
        cascade: On `device`.
        volume: All of its channels, in its order.
        ask: Predicts the model of a stage.
        extras: A cascade has a mask only: anything else is a ConfigError.
        memory_gb: For image-level outputs; `ask` knows its own.
        device: For image-level outputs.
    """
    if extras.probabilities or extras.uncertainty:
        raise ConfigError(
            "a cascade gives masks only: its stages see different parts of the scan. "
            "Fix: ask the model of one stage for probabilities or uncertainty."
        )
    if len(volume.array) != len(cascade.channels):
        raise DataError(
            f"the image has {len(volume.array)} channels but the cascade needs "
            f"{len(cascade.channels)}: {', '.join(cascade.channels)}."
        )
    walk = _Walk(cascade, volume, ask, memory_gb=memory_gb, device=device)
    for stage in cascade.stages:
        if not walk.take(stage):
            break
    return replace(volume, array=walk.draft.array), tuple(walk.warnings)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Found:
    """What a stage has found, for the stages that are given it."""

    box: Box
    mask: np.ndarray
    probabilities: Probabilities | None


class _Walk:
    """How far a cascade has come with one scan."""

    def __init__(
        self,
        cascade: Cascade,
        volume: Volume,
        ask: Ask,
        *,
        memory_gb: float | None,
        device: torch.device | str,
    ) -> None:
        self.draft = Draft(cascade.labels, volume.shape)
        self.warnings: list[str] = []
        self._cascade = cascade
        self._volume = volume
        self._ask = ask
        self._presence = partial(find_presence, memory_gb=memory_gb, device=device)
        self._box: Box = tuple((0, n) for n in volume.shape)
        self._found: dict[str, _Found] = {}

    def take(self, stage: Stage) -> bool:
        """Run a stage; False where it ends the walk."""
        scan = self._scan_for(stage)
        if isinstance(stage.does, PresenceGate):
            return self._is_present(stage, stage.does, scan)
        asked = self._asked_of(stage.name)
        extras = Extras(probabilities="probabilities" in asked)
        prediction = self._ask(stage.model, scan, extras=extras)
        self.warnings += [f"{stage.name}: {warning}" for warning in prediction.warnings]
        mask, labels = prediction.mask.array, stage.model.labels
        if stage.answers:
            self.draft.draw(mask, self._box, labels, stage.answer)
        if asked:
            self._found[stage.name] = _Found(
                box=self._box, mask=mask, probabilities=prediction.probabilities
            )
        if isinstance(stage.does, Segment):
            return True
        box, voxels = find_extent(mask, stage.does.structure, labels)
        return self._decide(stage, stage.does, box, voxels * prod(self._volume.spacing))

    def _decide(self, stage: Stage, does: Gate | Focus, box: Box | None, size: float) -> bool:
        """Go on, with a smaller box or not, by what was found and its size in mm3."""
        what = does.structure or "structure"
        if box is not None and size >= does.least_mm3:
            if isinstance(does, Focus):
                self._box = grow(inside(self._box, box), does.margin_mm, self._volume)
            return True
        told = f"{stage.name}: no {what} found" + (f" ({size:.0f} mm3)" if size else "")
        if isinstance(does, Gate):
            log.info("%s; the stages after it are not run", told)
            return False
        goes_on = does.otherwise == "whole"
        end = "the next stages see all of what it saw" if goes_on else "the rest is background"
        self.warnings.append(f"{told}: {end}")
        return goes_on

    def _is_present(self, stage: Stage, does: PresenceGate, scan: Volume) -> bool:
        assert isinstance(stage.model, Model), "checked by the cascade"
        if stage.model.domain is not None:
            odd = stage.model.domain.warnings(scan)
            self.warnings += [f"{stage.name}: {warning}" for warning in odd]
        found = self._presence(stage.model, scan)
        probability = found[does.structure]
        if probability >= does.probability:
            return True
        log.info(
            "%s: %s has the probability %.3f, below %g; the stages after it are not run",
            stage.name, does.structure, probability, does.probability,
        )  # fmt: skip
        return False

    def _asked_of(self, name: str) -> set[str]:
        """What later stages are given of this one."""
        given = (stage.given for stage in self._cascade.stages)
        return {g.what for g in given if g is not None and g.stage == name}

    def _scan_for(self, stage: Stage) -> Volume:
        """The crop, with the channels that the stage's model wants."""
        part = crop(self._volume, self._box)
        own, all_channels = self._cascade.own_channels(stage), self._cascade.channels
        array = part.array
        if own != all_channels:
            array = array[[all_channels.index(name) for name in own]]
        if stage.given is not None:
            given = self._given(self._found[stage.given.stage], stage)
            array = np.concatenate([array.astype(np.float32, copy=False), given])
        return replace(part, array=array)

    def _given(self, found: _Found, stage: Stage) -> np.ndarray:
        """Channels (n, *s) of what an earlier stage has found in this crop, single precision."""
        assert stage.given is not None, "asked only then"
        corner = [start for start, _ in found.box]
        place = tuple(
            slice(start - a, stop - a) for a, (start, stop) in zip(corner, self._box, strict=True)
        )
        labels = self._cascade.giver(stage.given).model.labels
        if stage.given.what == "probabilities":
            assert found.probabilities is not None, "they were asked for"
            return _cut(found.probabilities, place, first=0 if labels.overlapping else 1)
        mask = found.mask[(slice(None), *place)]
        if stage.given.what == "mask":
            return mask.astype(np.float32)
        if labels.overlapping:
            return mask.astype(np.float32)
        return np.stack([mask[0] == leaf.id for leaf in labels.leaves]).astype(np.float32)


def _cut(probabilities: Probabilities, place: tuple[slice, ...], *, first: int) -> np.ndarray:
    """A box of the channels from `first` on: made some rows at a time, for rows come whole."""
    axis = probabilities.axis
    shape = tuple(s.stop - s.start for s in place)
    out = np.empty((probabilities.shape[0] - first, *shape), np.float32)
    for start in range(place[axis].start, place[axis].stop, _ROWS):
        rows = slice(start, min(start + _ROWS, place[axis].stop))
        inner = [slice(None), *place]
        inner[1 + axis] = slice(None)
        target = [slice(None)] * out.ndim
        target[1 + axis] = slice(start - place[axis].start, rows.stop - place[axis].start)
        out[tuple(target)] = probabilities.rows(rows)[tuple(inner)][first:]
    return out
