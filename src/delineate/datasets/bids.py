"""BIDS: sub-*/[ses-*/]anat images, their masks beside them (ATLAS 2.0) or in derivatives/."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from delineate.datasets.bids_names import Image, Mask, find_images
from delineate.datasets.case import Case, Dataset
from delineate.datasets.listing import SPLITS
from delineate.errors import DataError
from delineate.io import stem

__all__ = ["EXPECTS", "read", "recognise"]

EXPECTS = "sub-*/[ses-*/]anat/sub-*_T1w.nii.gz with masks beside them or in derivatives/"


def recognise(root: Path) -> bool:
    """Whether at least one anatomical image has a mask of its name."""
    return any(image.masks for image in find_images(root)[0])


def read(root: Path, *, mask: str | None = None, channels: str | None = None) -> Dataset:
    """One case per image of a contrast that has masks, grouped by subject.

    Args:
        mask: which kind, such as 'lesion-manual', where images have several.
        channels: contrasts, such as 'T1w', or 'T1w+T2w' for cases of several channels.
    """
    images, loose = find_images(root)
    task = mask or _only_task(root, images)
    chosen = {image.path: _choose(image, task) for image in images}
    if mask and not any(chosen.values()):
        raise DataError(f"{root}: no image has a mask '{mask}'. Found: {_describe(images)}.")
    wanted = (
        channels.split("+") if channels else sorted({i.contrast for i in images if chosen[i.path]})
    )
    kept = [i for i in images if not wanted or any(i.is_contrast(name) for name in wanted)]
    orphans = [str(m.path) for m in loose if task in (None, m.task, m.kind)]
    if channels and len(wanted) > 1:
        cases, incomplete = _session_cases(kept, chosen, wanted, root)
        orphans += incomplete
        names = tuple(wanted)
    else:
        cases = [_case(stem(i.path), [i], chosen[i.path], root) for i in kept]
        names = tuple(wanted) if len(wanted) == 1 else ("image",)
    return Dataset(
        root=root,
        layout="bids",
        cases=tuple(sorted(cases, key=lambda case: case.id)),
        channels=tuple("CT" if name == "ct" else name for name in names),
        orphans=tuple(orphans),
    )


def _only_task(root: Path, images: Sequence[Image]) -> str | None:
    """What the masks of the tree draw; None without masks, a DataError where they draw several."""
    tasks = {m.task for image in images for m in image.masks}
    if len(tasks) > 1:
        raise DataError(
            f"{root}: images have several kinds of mask: {_describe(images)}. "
            f"Fix: name one with layout='bids:mask={min(tasks)}'."
        )
    return tasks.pop() if tasks else None


def _choose(image: Image, wanted: str | None) -> Mask | None:
    """The mask of that kind, or of that task where it has one rater only."""
    exact = [m for m in image.masks if wanted in (m.kind, f"{m.pipeline}/{m.kind}")]
    found = exact or [m for m in image.masks if wanted == m.task]
    if len(found) > 1:
        names = [f"{m.pipeline}/{m.kind}" if m.pipeline else m.kind for m in found]
        raise DataError(
            f"{image.path.name}: {len(found)} masks answer to '{wanted}': {', '.join(names)}. "
            f"Fix: name one with layout='bids:mask={names[0]}'."
        )
    return found[0] if found else None


def _describe(images: Sequence[Image]) -> str:
    """The kinds of mask and how many images have each."""
    counts = Counter(m.kind for image in images for m in image.masks)
    return ", ".join(f"{kind} ({count})" for kind, count in sorted(counts.items())) or "none"


def _session_cases(
    images: Sequence[Image], chosen: dict[Path, Mask | None], wanted: Sequence[str], root: Path
) -> tuple[list[Case], list[str]]:
    """One case per session with every contrast; its mask is that of the first image with one."""
    sessions: dict[str, dict[str, Image]] = {}
    for image in images:
        by_contrast = sessions.setdefault(image.session, {})
        name = next(name for name in wanted if image.is_contrast(name))
        if name in by_contrast:
            raise DataError(
                f"{image.session}: {by_contrast[name].path.name} and {image.path.name} are both "
                f"'{name}'. Fix: name one by its entities, such as channels=run-1_{name}."
            )
        by_contrast[name] = image
    cases, orphans = [], []
    for session, by_contrast in sessions.items():
        if len(by_contrast) < len(wanted):
            orphans += [str(image.path) for image in by_contrast.values()]
            continue
        ordered = [by_contrast[name] for name in wanted]
        mask = next((m for image in ordered if (m := chosen[image.path])), None)
        cases.append(_case(session, ordered, mask, root))
    return cases, orphans


def _case(name: str, images: Sequence[Image], mask: Mask | None, root: Path) -> Case:
    above = images[0].path.relative_to(root).parts[:-1]
    return Case(
        id=name,
        images=tuple(str(image.path) for image in images),
        label=None if mask is None else str(mask.path),
        group=images[0].subject,
        split=next((SPLITS[part.lower()] for part in above if part.lower() in SPLITS), None),
    )
