"""Post-processing chosen on validation cases, and only where it helps.

For each class with an id of its own, these are tried on the predicted masks: keep the largest
component, remove components below each of several sizes, fill holes. The rule: a step is taken when
it raises the mean Dice of its class by at least 0.001, and when a paired test says that this is not
chance: of all ways to give the cases' differences a sign, at most 5 % (divided by the number of
steps tried on that class: the best of many is often good by chance) have a mean as high. After a
step is taken, what is left is tried once more on top of it. With fewer than 8 cases nothing is
chosen: no figure of theirs could be told from chance. Of more than 50, 50 are drawn.

Dice counts as in the scores: 1 where truth and prediction are empty, 0 where only one is.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from delineate.data.every_case import Progress
from delineate.errors import DataError
from delineate.geometry import slices
from delineate.inference.postprocess import (
    FillHoles,
    KeepLargest,
    RemoveSmall,
    Step,
    apply_steps,
    box_of,
    components,
    find_boxes,
    find_holes,
    find_region,
    steps_from_json,
    steps_to_json,
)
from delineate.io import Volume, atomic_path, read_mask
from delineate.labels import Labels
from delineate.metrics.permutation import sign_flip_p

__all__ = ["choose_postprocessing", "read_postprocessing", "write_postprocessing"]

log = logging.getLogger("delineate")

FEWEST_CASES = 8
MOST_CASES = 50
"""Of more, so many are drawn: a hundred classes in a large CT take seconds a case."""
LEAST_GAIN = 0.001
LEVEL = 0.05
SIZES_MM3 = (3, 10, 30, 100, 300, 1000, 3000, 10_000)
SIZES_PIXELS = (5, 10, 20, 50, 100, 200, 500, 1000)

Pair = tuple[str | Path | Volume, str | Path | Volume]
"""A predicted mask and the true one, in memory or where they lie."""


def choose_postprocessing(
    pairs: Sequence[Pair], labels: Labels, *, progress: Progress | None = None
) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """The steps that help on these cases, and one sentence per class that says why or why not.

    The masks must be predictions of cases that the network was not trained on; each is read twice
    at most. Of more than `MOST_CASES`, so many are drawn, which a sentence before the others says.
    """
    if len(pairs) < FEWEST_CASES:
        return (), (
            f"Nothing is chosen: {len(pairs)} validation cases are too few, {FEWEST_CASES} are "
            "the least.",
        )
    some, told = _drawn(pairs)
    log.info("post-processing is chosen on %d validation cases", len(some))
    trials = {leaf.name: _Trial(leaf.name) for leaf in labels.leaves}
    for _ in range(2):
        waiting = [trial for trial in trials.values() if not trial.done]
        if not waiting:
            break
        looked = progress(some, len(some), "post-processing") if progress else some
        for predicted, true in looked:
            _score_case(_read(predicted), _read(true), waiting, labels)
        for trial in waiting:
            trial.decide()
    steps = tuple(step for trial in trials.values() for step in trial.chosen)
    return steps, (*told, *(trial.reason() for trial in trials.values()))


def _drawn(pairs: Sequence[Pair]) -> tuple[Sequence[Pair], tuple[str, ...]]:
    """So many cases as are looked at, the same each time, and a sentence where that is not all."""
    if len(pairs) <= MOST_CASES:
        return pairs, ()
    drawn = np.random.default_rng(0).choice(len(pairs), MOST_CASES, replace=False)
    told = f"Chosen on {MOST_CASES} of {len(pairs)} validation cases, drawn at random (seed 0)."
    return [pairs[i] for i in sorted(drawn.tolist())], (told,)


def write_postprocessing(path: Path, steps: Sequence[Step], reasons: Sequence[str]) -> None:
    """Save steps and reasons as JSON."""
    data = {"steps": steps_to_json(steps), "reasons": list(reasons)}
    with atomic_path(path) as part:
        part.write_text(json.dumps(data, indent=1), encoding="utf-8")


def read_postprocessing(path: Path) -> tuple[Step, ...]:
    """The steps of a file; anything that is none is a DataError."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return steps_from_json(data["steps"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a file of post-processing steps: {error!r}.") from None


@dataclass(slots=True)
class _Trial:
    """One class: the steps taken so far, and what the others would do to each case."""

    label: str
    chosen: list[Step] = field(default_factory=list)
    without: list[float] = field(default_factory=list)
    """Dice of each case with the chosen steps alone."""
    with_step: dict[Step, list[float]] = field(default_factory=dict)
    """Dice of each case with one step more."""
    told: list[str] = field(default_factory=list)
    done: bool = False

    def note(self, without: float, with_step: dict[Step, float]) -> None:
        self.without.append(without)
        for step, dice in with_step.items():
            self.with_step.setdefault(step, []).append(dice)

    def decide(self) -> None:
        """Take the best step if it helps, and forget the figures."""
        before = np.array(self.without)
        gains = {step: np.array(dice) - before for step, dice in self.with_step.items()}
        tried = {step: gain for step, gain in gains.items() if gain.any()}
        self.without, self.with_step = [], {}
        if not tried:
            self.done = True
            if not self.told:
                self.told.append(f"nothing to remove or to fill in {len(before)} cases")
            return
        best = max(tried, key=lambda step: tried[step].mean())
        gain, level = tried[best], LEVEL / len(tried)
        p = float(sign_flip_p(gain[:, None], one_sided=True)[0])
        helps = bool(gain.mean() >= LEAST_GAIN and p <= level)
        self.told.append(
            f"{best}: mean Dice {before.mean():.4f} to {(before + gain).mean():.4f} over "
            f"{len(gain)} cases, better in {int((gain > 0).sum())}, worse in "
            f"{int((gain < 0).sum())}, p = {p:.3g} against {level:.3g} "
            f"(the best of {len(tried)}): {'taken' if helps else 'left out'}"
        )
        if helps:
            self.chosen.append(best)
        self.done = not helps

    def reason(self) -> str:
        return f"{self.label}: {'; then '.join(self.told)}."


def _score_case(predicted: Volume, true: Volume, trials: Sequence[_Trial], labels: Labels) -> None:
    """Note for every class what each step would do to this case."""
    if predicted.array.shape != true.array.shape:
        raise DataError(
            f"a prediction is {predicted.array.shape} but its truth is {true.array.shape}. "
            "Fix: give masks of one grid."
        )
    spacing, steps = predicted.spacing, [step for trial in trials for step in trial.chosen]
    mask, truth = _plain(predicted, labels), _plain(true, labels)
    if steps:
        mask = apply_steps(mask.copy(), steps, labels, spacing)
    boxes = find_boxes(mask, labels), find_boxes(truth, labels)
    seen = None
    if labels.ignore is not None and not labels.overlapping:
        seen = truth != labels.ignore
    for trial in trials:
        box = box_of(trial.label, labels, *boxes)
        if box is None:
            trial.note(1.0, dict.fromkeys(_candidates(trial, len(spacing)), 1.0))
            continue
        place = (..., *slices(box))
        own = find_region(mask[place], trial.label, labels)
        wanted = find_region(truth[place], trial.label, labels)
        free = None if labels.overlapping else mask[place] == 0
        counted = None if seen is None else seen[place]
        case = _Case(own, wanted, free, counted, float(np.prod(spacing)))
        found = {step: case.dice(step) for step in _candidates(trial, len(spacing))}
        trial.note(case.dice(None), found)


def _candidates(trial: _Trial, dims: int) -> list[Step]:
    """All steps for a class but those of a kind that is taken already."""
    label = trial.label
    sizes = (
        [RemoveSmall(smallest=s, unit="mm3", label=label) for s in SIZES_MM3]
        if dims == 3
        else [RemoveSmall(smallest=s, unit="voxels", label=label) for s in SIZES_PIXELS]
    )
    steps: list[Step] = [KeepLargest(label=label), *sizes, FillHoles(label=label)]
    taken = {type(step) for step in trial.chosen}
    # To remove all but one and to remove the small ones are two ways to one end.
    if taken & {KeepLargest, RemoveSmall}:
        taken |= {KeepLargest, RemoveSmall}
    return [step for step in steps if type(step) not in taken]


class _Case:
    """One class of one case, within its box: figures of components instead of masks."""

    def __init__(
        self,
        own: np.ndarray,
        wanted: np.ndarray,
        free: np.ndarray | None,
        seen: np.ndarray | None,
        voxel: float,
    ) -> None:
        self.own = own
        self.free = free
        self.voxel = voxel
        counted = own if seen is None else own & seen
        self.wanted = wanted
        self.seen = seen
        self.true = int(np.count_nonzero(wanted))
        parts, self.sizes = components(own, "corners")
        number = len(self.sizes) + 1
        self.counted = np.bincount(parts[counted], minlength=number)[1:]
        self.hits = np.bincount(parts[own & wanted], minlength=number)[1:]

    def dice(self, step: Step | None) -> float:
        """Of the class after one step."""
        if isinstance(step, FillHoles):
            filled = self._filled(step)
            return _dice(
                int(self.hits.sum()) + int(np.count_nonzero(filled & self.wanted)),
                int(self.counted.sum()) + int(np.count_nonzero(filled)),
                self.true,
            )
        kept = np.ones(len(self.sizes), bool)
        if isinstance(step, KeepLargest) and len(kept):
            kept = np.arange(len(kept)) == int(np.argmax(self.sizes))
        elif isinstance(step, RemoveSmall):
            kept = self.sizes * (self.voxel if step.unit == "mm3" else 1.0) >= step.smallest
        return _dice(int(self.hits[kept].sum()), int(self.counted[kept].sum()), self.true)

    def _filled(self, step: FillHoles) -> np.ndarray:
        """What would be added and is counted."""
        holes, _ = find_holes(self.own, step.neighbours)
        filled = holes > 0
        if self.free is not None:
            filled &= self.free
        return filled if self.seen is None else filled & self.seen


def _dice(both: int, predicted: int, true: int) -> float:
    return 2 * both / (predicted + true) if predicted + true else 1.0


def _plain(volume: Volume, labels: Labels) -> np.ndarray:
    return volume.array if labels.overlapping else volume.array[0]


def _read(mask: str | Path | Volume) -> Volume:
    return mask if isinstance(mask, Volume) else read_mask(mask)
