"""Images in one folder and masks in another, or side by side; ATLAS 2.0's flat form among them."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from delineate.datasets.case import Case, Dataset
from delineate.datasets.listing import find_folder, scans_in, split_folders, subject_of
from delineate.datasets.pairing import is_mask_name, pair
from delineate.errors import DataError
from delineate.io import stem

__all__ = ["EXPECTS", "read", "recognise"]

EXPECTS = "images/ beside masks/ (or labels/, segmentations/), or a.nii.gz beside a_mask.nii.gz"

_IMAGE_FOLDERS = ("images", "imagestr", "image", "imgs", "img", "volumes", "scans")
_MASK_FOLDERS = ("masks", "labels", "labelstr", "segmentations", "segs", "annotations", "lesions")
_MASK_FOLDERS += ("mask", "label", "segmentation", "seg", "gt", "ground_truth")
_CHANNEL = re.compile(r".+_\d{4}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """The images and masks of one place, and the split that the place declares."""

    images: list[Path]
    masks: list[Path]
    split: str | None


def recognise(root: Path) -> bool:
    """Whether some image and some mask pair up, in the folder itself or in its split folders."""
    parts = _parts(root)
    plain = any(pair([stem(path) for path in part.images], part.masks)[0] for part in parts)
    return plain or _numbered_channels(parts)


def read(root: Path) -> Dataset:
    """One case per image, its mask found by name; <name>_0000, _0001 are channels of one case."""
    parts = _parts(root)
    name_of = _before_channel if _numbered_channels(parts) else stem
    cases: list[Case] = []
    orphans: list[str] = []
    for part in parts:
        files = _by_case(part, name_of)
        masks, left = pair(list(files), part.masks)
        cases += [_case(name, files[name], masks.get(name), part.split) for name in files]
        orphans += [str(path) for path in left]
    return Dataset(
        root=root,
        layout="folders",
        cases=tuple(sorted(cases, key=lambda case: case.id)),
        channels=_channel_names(root, cases),
        orphans=tuple(orphans),
    )


def _parts(root: Path) -> list[_Part]:
    """images/ beside masks/ (each perhaps with split folders inside), or a split folder each."""
    images, masks = find_folder(root, _IMAGE_FOLDERS), find_folder(root, _MASK_FOLDERS)
    if images is not None and split_folders(images):
        inside = {split: place for place, split in split_folders(masks)} if masks else {}
        return [_paired(place, inside.get(split), split) for place, split in split_folders(images)]
    if images is not None:
        return [_paired(images, masks, None)]
    if split_folders(root):
        return [_place(place, split) for place, split in split_folders(root)]
    return [_place(root, None)]


def _place(place: Path, split: str | None) -> _Part:
    """The pairs of one folder: in two folders inside it, or side by side."""
    images = find_folder(place, _IMAGE_FOLDERS)
    if images is not None:
        return _paired(images, find_folder(place, _MASK_FOLDERS), split)
    files = scans_in(place)
    masks = [path for path in files if is_mask_name(stem(path))]
    return _Part(images=[path for path in files if path not in masks], masks=masks, split=split)


def _paired(images: Path, masks: Path | None, split: str | None) -> _Part:
    return _Part(images=scans_in(images), masks=scans_in(masks) if masks else [], split=split)


def _by_case(part: _Part, name_of: Callable[[Path], str]) -> dict[str, tuple[Path, ...]]:
    """The files of each case in order; two images of one stem are a DataError."""
    by_case: dict[str, tuple[Path, ...]] = {}
    for path in part.images:
        name = name_of(path)
        same = [other for other in by_case.get(name, ()) if stem(other) == stem(path)]
        if same:
            raise DataError(
                f"{path.parent}: {same[0].name} and {path.name} have one name. "
                "Fix: keep one of them, or list the files in a table (cases.csv)."
            )
        by_case[name] = (*by_case.get(name, ()), path)
    return by_case


def _before_channel(path: Path) -> str:
    return stem(path)[: -len("_0000")]


def _numbered_channels(parts: Sequence[_Part]) -> bool:
    """Whether all images end in a number, and masks pair with the name before it only."""
    images = [path for part in parts for path in part.images]
    masks = [path for part in parts for path in part.masks]
    if not images or not all(_CHANNEL.fullmatch(stem(path)) for path in images):
        return False
    if pair([stem(path) for path in images], masks)[0]:
        return False
    return bool(pair(sorted({_before_channel(path) for path in images}), masks)[0])


def _case(name: str, images: tuple[Path, ...], mask: Path | None, split: str | None) -> Case:
    return Case(
        id=name,
        images=tuple(str(path) for path in images),
        label=None if mask is None else str(mask),
        group=subject_of(name) or name,
        split=split,
    )


def _channel_names(root: Path, cases: Sequence[Case]) -> tuple[str, ...]:
    """'image', or one name per numbered channel; every case must have the same number."""
    widths = sorted({len(case.images) for case in cases})
    if len(widths) > 1:
        few = next(case for case in cases if len(case.images) == widths[0])
        raise DataError(
            f"{root}: {few.id} has {widths[0]} channel files where others have {widths[-1]}. "
            "Fix: add what is missing, or move the case away."
        )
    width = widths[0] if widths else 1
    return ("image",) if width == 1 else tuple(f"image_{i}" for i in range(width))
