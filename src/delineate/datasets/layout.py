"""A folder of scans to a Dataset: its layout is found by itself, or named."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from delineate.datasets import bids, folders, hdf5, msd, nnunet, patients, table
from delineate.datasets.case import Case, Dataset
from delineate.datasets.listing import subfolders
from delineate.errors import DataError
from delineate.labels import Labels

__all__ = ["LAYOUTS", "Layout", "read_dataset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One way in which scans lie in a folder."""

    expects: str
    """What is looked for, in words for a message."""
    recognise: Callable[[Path], bool]
    read: Callable[..., Dataset]
    options: tuple[str, ...] = ()
    """What may follow the name: `bids:mask=lesion-manual,channels=T1w+T2w`."""
    declared: bool = True
    """Whether the layout has a mark of its own, and so wins over one known by folder names."""


LAYOUTS: dict[str, Layout] = {
    "nnunet": Layout(expects=nnunet.EXPECTS, recognise=nnunet.recognise, read=nnunet.read),
    "msd": Layout(expects=msd.EXPECTS, recognise=msd.recognise, read=msd.read),
    "bids": Layout(
        expects=bids.EXPECTS,
        recognise=bids.recognise,
        read=bids.read,
        options=("mask", "channels"),
    ),
    "hdf5": Layout(expects=hdf5.EXPECTS, recognise=hdf5.recognise, read=hdf5.read),
    "table": Layout(expects=table.EXPECTS, recognise=table.recognise, read=table.read),
    "folders": Layout(
        expects=folders.EXPECTS, recognise=folders.recognise, read=folders.read, declared=False
    ),
    "patients": Layout(
        expects=patients.EXPECTS,
        recognise=patients.recognise,
        read=patients.read,
        options=("mask",),
        declared=False,
    ),
}
"""Every layout by its name, in the order in which they are looked for."""


def read_dataset(
    root: Path, *, layout: str = "auto", group: str | None = None, labels: Labels | None = None
) -> Dataset:
    """All cases of a folder; no file is opened beyond what lists them, renamed or copied.

    Args:
        root: the folder, or the file of a table.
        layout: 'auto', or a name of LAYOUTS, with options after a colon: 'bids:mask=seg-manual'.
        group: how to tell the patient: a regex on the case id whose first group is the patient,
            or a column of a table. None is the layout's own patient.
        labels: what the ids in the masks mean, in place of what the folder declares.
    """
    root = Path(root).expanduser().absolute()
    if not root.exists():
        raise DataError(f"{root}: no such folder. Fix: give the folder that holds the scans.")
    name, options = (_detect(root), {}) if layout == "auto" else _parse(layout)
    if root.is_file() and name != "table":
        raise DataError(f"{root}: a file, but layout '{name}' is a folder. Fix: give the folder.")
    by_column = name == "table" and group in table.columns(root)
    if by_column and group is not None:
        options["group"] = group
    dataset = LAYOUTS[name].read(root, **options)
    if not dataset.cases:
        raise DataError(
            f"{root}: no case was found as layout '{name}', which looks for "
            f"{LAYOUTS[name].expects}. Found: {_contents(root)}."
        )
    cases = _unique(root, dataset.cases)
    if group is not None and not by_column:
        cases = _regroup(cases, group)
    return replace(dataset, cases=cases, labels=labels or dataset.labels)


def _detect(root: Path) -> str:
    """The one layout that recognises the folder; none or several are a DataError."""
    found = _recognised(root, declared=True) or _recognised(root, declared=False)
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(
            f"{root}: could be layout {' or '.join(found)}. "
            f"Fix: name it, as in data.layout={found[0]}."
        )
    places = [] if root.is_file() else subfolders(root)[:20]
    inside = [
        f"{place.name}/ is layout '{name}'"
        for place in places
        for name in _recognised(place, declared=True)
    ]
    looked = "\n".join(f"    {name}: {layout.expects}" for name, layout in LAYOUTS.items())
    hint = f" But {inside[0]}: give that folder." if inside else ""
    raise DataError(
        f"{root}: no known layout. Looked for\n{looked}\n  Found: {_contents(root)}.{hint}\n"
        "  Fix: list the files in cases.csv (columns image, label), or name a layout, "
        "as in data.layout=folders."
    )


def _recognised(root: Path, *, declared: bool) -> list[str]:
    """The layouts, with a mark of their own or without, that know the path; a file is a table."""
    return [
        name
        for name, layout in LAYOUTS.items()
        if layout.declared == declared
        and (root.is_dir() or name == "table")
        and layout.recognise(root)
    ]


def _parse(text: str) -> tuple[str, dict[str, str]]:
    """A layout's name and its options: 'bids:mask=seg-manual,channels=T1w+T2w'."""
    name, _, rest = text.partition(":")
    if name not in LAYOUTS:
        near = get_close_matches(name, LAYOUTS, n=1)
        raise DataError(
            f"layout: '{name}' is unknown.{f' Did you mean {near[0]}?' if near else ''} "
            f"Fix: use auto, {', '.join(LAYOUTS)}."
        )
    options = {}
    for item in filter(None, rest.split(",")):
        key, equals, value = item.partition("=")
        if key not in LAYOUTS[name].options or not equals or not value:
            known = ", ".join(f"{key}=..." for key in LAYOUTS[name].options) or "none"
            raise DataError(f"layout: '{item}' is no option of {name}. Known options: {known}.")
        options[key] = value
    return name, options


def _contents(root: Path) -> str:
    """A few names of what lies in a folder, folders with a slash."""
    if root.is_file():
        return f"the file {root.name}"
    names = sorted(f"{p.name}/" if p.is_dir() else p.name for p in root.iterdir())
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(names[:6]) + more if names else "an empty folder"


def _unique(root: Path, cases: tuple[Case, ...]) -> tuple[Case, ...]:
    """The cases sorted by id; ids that occur in several splits get the split in front."""
    counts = Counter(case.id for case in cases)
    named = [
        replace(case, id=f"{case.split}_{case.id}") if counts[case.id] > 1 and case.split else case
        for case in cases
    ]
    counts = Counter(case.id for case in named)
    if repeated := [case for case in named if counts[case.id] > 1]:
        first, second = [case.images[0] for case in repeated if case.id == repeated[0].id][:2]
        raise DataError(
            f"{root}: '{repeated[0].id}' names two cases: {first} and {second}. "
            "Fix: give them different names."
        )
    return tuple(sorted(named, key=lambda case: case.id))


def _regroup(cases: tuple[Case, ...], pattern: str) -> tuple[Case, ...]:
    """The cases with the patient that a regex finds in each id; every id must match."""
    try:
        regex = re.compile(pattern)
    except re.error as error:
        raise DataError(f"group: '{pattern}' is no regex ({error}).") from None
    if regex.groups == 0:
        raise DataError(
            f"group: '{pattern}' has no (group) that is the patient, and is no column of a table. "
            "Fix: put brackets around it, as in '(sub-[^_]+)'."
        )
    found = [regex.search(case.id) for case in cases]
    missed = [case.id for case, match in zip(cases, found, strict=True) if not (match and match[1])]
    if missed:
        raise DataError(
            f"group: '{pattern}' does not match {len(missed)} of {len(cases)} case ids, such as "
            f"'{missed[0]}'. Fix: write a regex that finds the patient in every id."
        )
    return tuple(
        replace(case, group=match[1]) for case, match in zip(cases, found, strict=True) if match
    )
