"""Who a slice is of, and that nobody is learnt from and judged by.

A patient is what `group`, a regular expression, finds in the path; or a column of the table; or a
name such as sub-04, patient_12 or subject7 in the path; or a folder below that of the class, or
beside those of images and masks, with a number in its name. A slice of a scan is of the scan's
patient. Any other file counts as a patient of its own.
"""

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np

from delineate.datasets.listing import natural
from delineate.datasets.shares import USUAL, deal
from delineate.errors import ConfigError, DataError
from delineate.io.paths import suffix_of
from delineate.systems.spine.schema.entries import Phase
from delineate.systems.spine.slices.rows import Row

__all__ = ["Patients", "settle"]

log = logging.getLogger("delineate")

HELD = USUAL["val"]
"""What becomes validation of a source that has training slices but none to validate by."""
_NAMED = re.compile(
    r"(?:^|[/_\-. ])((?:sub|subject|subj|patient|pat|participant|pid)[-_ ]?[a-z]*\d[a-z0-9]*)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patients:
    """How a crawler's params ask for them."""

    group: re.Pattern[str] | None = None
    split: Mapping[str, float] | None = None
    allow_shared_patients: bool = False

    @classmethod
    def of(
        cls,
        *,
        group: str | None = None,
        split: dict[str, float] | None = None,
        allow_shared_patients: bool = False,
    ) -> "Patients":
        """From the params.

        Args:
            group: A regular expression with one group, searched for in each path below the source.
            split: Shares of train, val and test, by patient, in place of the phases of the layout.
            allow_shared_patients: Whether a patient may be in several phases.
        """
        if split is not None:
            if not split or set(split) - set(get_args(Phase)) or min(split.values()) < 0:
                raise ConfigError(f"split: {split} is no shares of train, val and test.")
            whole = sum(split.values())
            if whole <= 0:
                raise ConfigError("split: the shares add up to nothing.")
            split = {phase: share / whole for phase, share in split.items()}
        return cls(
            group=None if group is None else _pattern(group),
            split=split,
            allow_shared_patients=allow_shared_patients,
        )


def settle(rows: Sequence[Row], asked: Patients, *, source: str, seed: int) -> list[Row]:
    """The rows with a patient and a phase each; a patient in two phases is a DataError.

    Args:
        rows: What a crawler has found.
        asked: How.
        source: What messages call it.
        seed: Of who is dealt where.
    """
    rows = [replace(row, patient=_patient(row, asked, source)) for row in rows]
    if asked.split is not None:
        return _dealt(rows, asked.split, source=source, seed=seed)
    silent = [row for row in rows if row.phase is None]
    if len(silent) == len(rows):
        return _dealt(rows, USUAL, source=source, seed=seed)
    if silent:
        raise DataError(
            f"{source}: {len(silent)} of {len(rows)} slices are in no phase, such as "
            f"{silent[0].name}. Fix: put them into train, val or test, or say split: in the "
            "crawler's params to have patients dealt."
        )
    if not asked.allow_shared_patients:
        _refuse_shared(rows, source)
    return _with_validation(rows, source=source, seed=seed)


def _patient(row: Row, asked: Patients, source: str) -> str:
    if row.patient is not None:
        return row.patient
    if asked.group is not None:
        found = asked.group.search(row.name)
        if found is None:
            raise DataError(
                f"{source}: group '{asked.group.pattern}' finds no patient in {row.name}. "
                "Fix: correct the expression in the crawler's params."
            )
        return found.group(1) if asked.group.groups else found.group(0)
    named = _NAMED.search(row.name)
    if named is not None:
        return named.group(1)
    return row.folder if re.search(r"\d", row.folder) else row.name


def _refuse_shared(rows: Sequence[Row], source: str) -> None:
    seen: dict[str, Row] = {}
    shared: dict[str, tuple[Row, Row]] = {}
    for row in rows:
        first = seen.setdefault(row.patient or "", row)
        if first.phase != row.phase:
            shared.setdefault(row.patient or "", (first, row))
    if shared:
        name, (one, other) = next(iter(shared.items()))
        more = f" So do {len(shared) - 1} more." if len(shared) > 1 else ""
        raise DataError(
            f"{source}: patient {name} has slices in {one.phase} ({one.name}) and in {other.phase} "
            f"({other.name}).{more} Figures of who was learnt from mean nothing. Fix: keep a "
            "patient in one phase, correct group: in the crawler's params if that is no patient, "
            "say split: {train: 0.7, val: 0.2, test: 0.1} to have patients dealt, or "
            "allow_shared_patients: true."
        )


def _dealt(
    rows: Sequence[Row], shares: Mapping[str, float], *, source: str, seed: int
) -> list[Row]:
    """Each patient in one phase, each class spread over the phases."""
    order = _by_class(rows, seed)
    if len(order) < sum(share > 0 for share in (shares.get("train", 0), shares.get("val", 0))):
        raise DataError(
            f"{source}: all slices are of patient {order[0]}, who cannot both be learnt from and "
            "be judged by. Fix: add another patient, correct group: in the crawler's params, or "
            "say allow_shared_patients: true with folders of phases."
        )
    phases = deal(len(order), shares)
    if shares.get("val", 0) > 0 and "val" not in phases:
        phases[-1] = "val"
    if shares.get("train", 0) > 0 and "train" not in phases:
        phases[0] = "train"
    told = dict(zip(order, phases, strict=True))
    counts = Counter(told.values())
    log.info(
        "%s: %d patients dealt: %s.",
        source,
        len(order),
        ", ".join(f"{counts[phase]} {phase}" for phase in get_args(Phase)),
    )
    return [replace(row, phase=told[row.patient or ""]) for row in rows]


def _with_validation(rows: list[Row], *, source: str, seed: int) -> list[Row]:
    """Rows of whom some training patients validate, where the layout has nobody for it."""
    phases = {row.phase for row in rows}
    if "val" in phases or "train" not in phases:
        return rows
    order = _by_class([row for row in rows if row.phase == "train"], seed)
    if len(order) < 2:
        return rows
    parts = deal(len(order), {"train": 1 - HELD, "val": HELD})
    if "val" not in parts:
        parts[-1] = "val"
    held = {who for who, part in zip(order, parts, strict=True) if part == "val"}
    log.warning(
        "%s: has no phase val; %d of its %d training patients validate instead.",
        source,
        len(held),
        len(order),
    )
    return [
        replace(row, phase="val") if row.phase == "train" and row.patient in held else row
        for row in rows
    ]


def _by_class(rows: Sequence[Row], seed: int) -> list[str]:
    """The patients in a drawn order, those of one class together."""
    labels: dict[str, Counter[str]] = {}
    for row in rows:
        labels.setdefault(row.patient or "", Counter())[_class(row)] += 1
    usual = {who: min(c, key=lambda name: (-c[name], name)) for who, c in labels.items()}
    who = sorted(labels, key=natural)
    drawn = [who[i] for i in np.random.default_rng(seed).permutation(len(who))]
    return sorted(drawn, key=lambda name: usual[name])


def _class(row: Row) -> str:
    """The class; masks are all alike."""
    return "" if row.label is None or suffix_of(row.label) else row.label


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ConfigError(f"group: '{text}' is no regular expression: {error}.") from None
