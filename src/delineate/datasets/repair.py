"""A repaired copy of a data set: what is safe is mended, the rest left out, all of it said."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from delineate.datasets.case import Case, Dataset
from delineate.datasets.declared import write_regions
from delineate.datasets.findings import Examination, Finding
from delineate.datasets.mending import Hopeless, Note
from delineate.datasets.rewrite import Copy, write_case
from delineate.errors import DataError
from delineate.io.paths import PICTURES, suffix_of
from delineate.io.write import WRITABLE
from delineate.labels import Labels

__all__ = ["Change", "repair"]

_MENDED = frozenset(
    (
        "not-finite",
        "float-label",
        "undeclared-value",
        "mixed-values",
        "blurred-mask",
        "grid-mismatch",
        "grid-noise",
    )
)
"""Errors after which a case is mended where that is safe; after any other it is left out."""
_TWINS = frozenset(("duplicate-image", "duplicate-id"))
"""Errors of which the first case is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One way in which the copy differs from its source."""

    case: str | None
    action: str
    """'mended', 'left out' or 'not carried over'."""
    kind: str
    """That of the finding; 'layout' for what nnU-Net's layout has no place for."""
    message: str

    def __str__(self) -> str:
        return f"{self.case or 'data set'}: {self.action}: {self.message}"


def repair(dataset: Dataset, examination: Examination, out: Path) -> tuple[Change, ...]:
    """Write a repaired copy in nnU-Net's raw layout into `out`; the source is only read.

    Label values are rounded or mapped to the declared id, small errors of a header undone, voxels
    that are not finite filled. A case that cannot be mended safely is left out. Unchanged files are
    copied byte for byte; changes.txt and changes.json in `out` list every change.
    """
    _refuse(dataset, out)
    kept, changes = _choose(dataset, examination)
    copy = Copy(
        out=out,
        labels=dataset.labels,
        only=_only_class(dataset, examination),
        ending=_ending(kept),
    )
    written: dict[str, int] = {}
    for case in kept:
        kinds = {f.kind for f in examination.findings if f.case == case.id}
        try:
            channels, notes = write_case(case, kinds, copy)
        except Hopeless as hopeless:
            changes.append(_left_out(case.id, hopeless.kind, str(hopeless)))
            continue
        written[case.id] = channels
        changes += [Change(case=case.id, action="mended", kind=k, message=m) for k, m in notes]
    if not written:
        raise DataError(
            f"{dataset.root}: no case can be kept, so there is no repaired copy. "
            "Fix: mend by hand what `delineate doctor` lists."
        )
    cases = [case for case in kept if case.id in written]
    changes += _not_carried(cases)
    held = {v for facts in examination.cases if facts.case in written for v in facts.labels or ()}
    _write_description(dataset, cases, max(written.values()), copy, held)
    _write_log(changes, out)
    return tuple(changes)


def _refuse(dataset: Dataset, out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(
            f"{out}: not empty. Fix: name an empty or new folder for the repaired copy."
        )
    if dataset.root.is_dir() and out.resolve().is_relative_to(dataset.root.resolve()):
        raise DataError(
            f"{out}: lies inside the data set {dataset.root}, which is not to be touched. "
            "Fix: name a folder elsewhere."
        )
    if dataset.labels is not None and dataset.labels.overlapping:
        raise DataError(
            f"{dataset.root}: its masks overlap, which nnU-Net's layout cannot hold, "
            "so no repaired copy can be written. Fix: mend by hand what `delineate doctor` lists."
        )


def _choose(dataset: Dataset, examination: Examination) -> tuple[list[Case], list[Change]]:
    """The cases worth copying, and why the others are left out."""
    by_case: dict[str | None, list[Finding]] = {}
    for found in examination.errors:
        by_case.setdefault(found.case, []).append(found)
    kept: list[Case] = []
    changes: list[Change] = []
    for case in dataset.cases:
        reason = _reason(case, by_case.get(case.id, []), {c.id.lower() for c in kept})
        if reason is None:
            kept.append(case)
        else:
            changes.append(_left_out(case.id, *reason))
    known = {case.id for case in dataset.cases}
    strays = [f for f in examination.findings if f.kind in ("missing-image", "unlisted-file")]
    changes += [_left_out(f.case, f.kind, f.message) for f in strays if f.case not in known]
    return kept, changes


def _reason(case: Case, errors: Iterable[Finding], kept: set[str]) -> Note | None:
    """The first error for which a case cannot be copied, or None."""
    for found in errors:
        if found.kind not in _MENDED | _TWINS:
            return found.kind, found.message
        twins = {case.id.lower(), *(other.lower() for other in found.others)}
        if found.kind in _TWINS and twins & kept:
            return found.kind, found.message
    if case.label is None and case.split != "test":
        return "layout", "it has no label, and nnU-Net's layout has no place for that"
    return None


def _left_out(case: str | None, kind: str, message: str) -> Change:
    return Change(case=case, action="left out", kind=kind, message=message.rstrip("."))


def _only_class(dataset: Dataset, examination: Examination) -> int | None:
    """The id of the class where there is just one; where none is declared it is 1."""
    if dataset.labels is not None:
        leaves = dataset.labels.leaves
        return leaves[0].id if len(leaves) == 1 and dataset.labels.ignore is None else None
    blurred = {f.case for f in examination.findings if f.kind == "blurred-mask"}
    held = [
        set(facts.labels)
        for facts in examination.cases
        if facts.labels is not None and facts.case not in blurred
    ]
    return 1 if held and set().union(*held) <= {1, 255} else None


def _ending(cases: Iterable[Case]) -> str:
    """One suffix for all files: that of the source where it has one that can be written."""
    paths = [path for case in cases for path in (*case.images, case.label) if path is not None]
    found = {None if "::" in p or Path(p).is_dir() else suffix_of(p) for p in paths}
    if len(found) == 1 and (suffix := found.pop()) in WRITABLE:
        return suffix
    return ".png" if found and found <= set(PICTURES) else ".nii.gz"


def _not_carried(cases: list[Case]) -> list[Change]:
    """What the data set says of its cases and nnU-Net's layout cannot."""
    changes = []
    grouped = [case for case in cases if case.group not in ("", case.id)]
    if grouped:
        text = f"the patients of {len(grouped)} cases; name them again when training"
        changes.append(Change(case=None, action="not carried over", kind="layout", message=text))
    if any(case.split == "validation" for case in cases):
        text = "which cases are for validation; splits_final.json lists them"
        changes.append(Change(case=None, action="not carried over", kind="layout", message=text))
    return changes


def _write_description(
    dataset: Dataset, cases: list[Case], channels: int, copy: Copy, held: set[int]
) -> None:
    """dataset.json, and splits_final.json where the data set has a validation part."""
    names = dataset.channels
    if len(names) != channels:
        names = tuple(f"channel_{i}" for i in range(channels))
    training = [case for case in cases if case.split != "test"]
    data = {
        "channel_names": {str(i): name for i, name in enumerate(names)},
        "labels": _label_table(dataset.labels, copy.only, held),
        "numTraining": len(training),
        "file_ending": copy.ending,
    }
    (copy.out / "dataset.json").write_text(json.dumps(data, indent=2) + "\n")
    held_out = [case.id for case in training if case.split == "validation"]
    if held_out:
        fold = {"train": [c.id for c in training if c.split != "validation"], "val": held_out}
        (copy.out / "splits_final.json").write_text(json.dumps([fold], indent=2) + "\n")


def _label_table(
    labels: Labels | None, only: int | None, held: set[int]
) -> dict[str, int | list[int]]:
    if labels is not None:
        return write_regions(labels)
    if only is not None:
        return {"background": 0, "foreground": only}
    return {"background": 0, **{f"class_{value}": value for value in sorted(held - {0})}}


def _write_log(changes: list[Change], out: Path) -> None:
    lines = "".join(f"{change}\n" for change in changes) or "nothing was changed\n"
    (out / "changes.txt").write_text(lines)
    data = [asdict(change) for change in changes]
    (out / "changes.json").write_text(json.dumps(data, indent=2) + "\n")
