"""The documented chain over a series of slices: is it a spine, in the right view and sequence, does
a slice show the cord, where is the cord, and where are lesions inside it.

A series is rejected at the first gate that does not let it through, with the reason; what is behind
that gate is not asked. Masks lie on the series' own pixels, and everything that was said goes into
a report.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from delineate.errors import DelineateError
from delineate.labels import Labels
from delineate.systems.spine.cascade.ballot import Ballot, hold_ballot, judge_slices
from delineate.systems.spine.cascade.outcome import (
    Drawn,
    Outcome,
    SliceVerdict,
    State,
    count_pieces,
)
from delineate.systems.spine.cascade.preview import write_preview
from delineate.systems.spine.cascade.settings import CascadeSettings
from delineate.systems.spine.cascade.weights_folder import Networks, OpenGate
from delineate.systems.spine.prediction.answers import threshold
from delineate.systems.spine.prediction.series_slices import (
    Slices,
    mask_files,
    read_slices,
    write_masks,
)
from delineate.systems.spine.slices.series import Series, find_series

__all__ = ["Judged", "judge", "run_cascade"]

log = logging.getLogger("delineate")

Progress = Callable[[Sequence[Series]], Iterable[Series]]
"""Hands the series on and shows how many are done."""
LESION, CORD, PREVIEW = "predict_", "cord_", "preview"
"""What the names of the files begin with."""
LABELS: Mapping[str, Labels] = {
    LESION: Labels.from_names({"lesion": 1}),
    CORD: Labels.from_names({"spinal cord": 1}),
}
MM3_PER_ML = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the networks say of a series, before anything is written."""

    outcome: Outcome
    drawn: Drawn | None
    """None of a rejected series."""


def run_cascade(
    settings: CascadeSettings,
    networks: Networks,
    place: Path,
    out: Path,
    progress: Progress = iter,
) -> tuple[Outcome, ...]:
    """Judge every series of a file or a folder, and write the masks of those that are accepted.

    One that cannot be read or written is `failed`, with the message; the others are done. Files
    that an earlier run wrote of a series that is not accepted any more are removed.
    """
    found = []
    for series in progress(find_series(place)):
        try:
            found.append(_one(settings, networks, series, out))
        except Exception as error:  # whatever befalls one series, the others are still wanted
            plain = isinstance(error, DelineateError)
            reason = str(error) if plain else f"{type(error).__name__}: {error}"
            log.warning("%s: failed: %s", series.id, reason)
            found.append(
                Outcome(
                    series=series.id, kind=series.kind, state="failed", stage="files", reason=reason
                )
            )
    return tuple(found)


def judge(settings: CascadeSettings, networks: Networks, slices: Slices) -> Judged:
    """Ask the networks one after the other."""
    number = len(slices.pictures)
    verdicts = [SliceVerdict(name=name, answers={}) for name in slices.names]
    ballots: dict[str, Ballot] = {}

    def rejected(stage: str, reason: str) -> Judged:
        found = _outcome(slices, "rejected", ballots=ballots, slices=tuple(verdicts))
        return Judged(outcome=replace(found, stage=stage, reason=reason), drawn=None)

    if number < settings.minimum_slices:
        reason = f"{number} slice{'s' * (number > 1)}, at least {settings.minimum_slices} are asked"
        return rejected("slices", reason)
    used = np.arange(number)
    for stage in networks.gates:
        probabilities = stage.answerer.classify([slices.pictures[i] for i in used])
        answers = _answers(stage, probabilities)
        for i, answer in zip(used.tolist(), answers, strict=True):
            said = {**verdicts[i].answers, stage.gate.name: answer}
            verdicts[i] = replace(verdicts[i], answers=said)
        if stage.gate.by == "series":
            ballot = ballots[stage.gate.name] = _ballot(stage, probabilities)
            if not ballot.passed:
                return rejected(stage.gate.name, _told(ballot, stage))
            continue
        fit = judge_slices(probabilities, stage.keep, confidence=stage.gate.confidence)
        for i, (name, probability) in zip(used.tolist(), answers, strict=True):
            if i in used[~fit]:
                reason = f"{stage.gate.name}: {name} ({probability:.2f})"
                verdicts[i] = replace(verdicts[i], reason=reason)
        used = used[fit]
        if not len(used):
            return rejected(stage.gate.name, f"no slice is {_wanted(stage)}")
    outcome = _outcome(slices, "accepted", ballots=ballots, slices=tuple(verdicts))
    return _draw(settings, networks, slices, outcome, used)


def _draw(
    settings: CascadeSettings,
    networks: Networks,
    slices: Slices,
    outcome: Outcome,
    used: np.ndarray,
) -> Judged:
    """The cord and the lesions of the slices that are left."""
    pictures = [slices.pictures[i] for i in used]
    lesions = [np.zeros(picture.shape[:2], np.uint8) for picture in slices.pictures]
    cords = [np.zeros_like(mask) for mask in lesions] if networks.cord is not None else None
    if networks.cord is not None and cords is not None:
        for i, found in zip(used, networks.cord.segment(pictures), strict=True):
            cords[i] = np.minimum(threshold(found, settings.cord.confidence), 1)
    for i, found in zip(used, networks.lesion.segment(pictures), strict=True):
        lesions[i] = np.minimum(threshold(found, settings.lesion.confidence), 1)
        if cords is not None:
            lesions[i] &= cords[i]
    verdicts = list(outcome.slices)
    for i in used.tolist():
        verdicts[i] = replace(
            verdicts[i],
            lesion_pixels=int(lesions[i].sum()),
            cord_pixels=None if cords is None else int(cords[i].sum()),
        )
    outcome = replace(
        outcome,
        slices=verdicts,
        lesions=count_pieces(lesions, slices),
        lesion_ml=_millilitres(lesions, slices),
        cord_ml=None if cords is None else _millilitres(cords, slices),
    )
    return Judged(outcome=outcome, drawn=Drawn(lesion=lesions, cord=cords))


def _one(settings: CascadeSettings, networks: Networks, series: Series, out: Path) -> Outcome:
    """Read, judge and write one series."""
    slices = read_slices(series, settings.plane)
    judged = judge(settings, networks, slices)
    layers = {LESION: judged.drawn.lesion if judged.drawn else None}
    layers[CORD] = judged.drawn.cord if judged.drawn else None
    written: list[Path] = []
    for prefix, masks in layers.items():
        files = mask_files(slices, out, prefix=prefix, nifti=settings.nifti)
        if masks is None:
            _remove(files)
            continue
        write_masks(slices, masks, files, labels=LABELS[prefix])
        written += files
    # Pictures have a folder of their own, in which a scan of their name may lie.
    told = PREVIEW if series.kind == "pictures" else f"{PREVIEW}_{series.name}"
    picture = out / series.folder / f"{told}.png"
    if settings.preview and judged.drawn is not None:
        write_preview(picture, slices, judged.drawn, judged.outcome)
        written.append(picture)
    else:
        _remove([picture])
    return replace(
        judged.outcome, files=tuple(path.relative_to(out).as_posix() for path in written)
    )


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)


def _outcome(source: Slices, state: State, **rest: Any) -> Outcome:
    plane = source.scan.plane.name if source.scan else ""
    series = source.series
    return Outcome(series=series.id, kind=series.kind, state=state, plane=plane, **rest)


def _ballot(stage: OpenGate, probabilities: np.ndarray) -> Ballot:
    return hold_ballot(
        probabilities, stage.keep, stage.answerer.name_of, confidence=stage.gate.confidence
    )


def _told(ballot: Ballot, stage: OpenGate) -> str:
    """Why a series did not pass."""
    voted = ballot.kept + ballot.against
    if not voted:
        return f"no slice is sure enough ({stage.gate.confidence:g}) to vote"
    return f"{ballot.kept} of {voted} votes for {_wanted(stage)}: {ballot}"


def _wanted(stage: OpenGate) -> str:
    names = [stage.answerer.name_of(number) for number in stage.keep]
    return " or ".join(names if len(names) <= 3 else [*names[:2], f"{len(names) - 2} more"])


def _answers(stage: OpenGate, probabilities: np.ndarray) -> list[tuple[str, float]]:
    """The most probable class of each slice, and how probable it is."""
    chosen = probabilities.argmax(1).tolist()
    return [
        (stage.answerer.name_of(n), float(p[n])) for n, p in zip(chosen, probabilities, strict=True)
    ]


def _millilitres(masks: Sequence[np.ndarray], slices: Slices) -> float | None:
    if slices.scan is None:
        return None
    voxels = sum(int(mask.sum()) for mask in masks)
    return voxels * abs(float(np.linalg.det(slices.scan.volume.affine[:3, :3]))) / MM3_PER_ML
