"""Crawlers of folders: a folder a class, and images beside masks.

Folders of phases (train, val, test, in any case, or training, valid, validation, testing) may stand
at any depth, and need not be there: then patients are dealt.
"""

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from delineate.datasets.listing import SPLITS, natural
from delineate.datasets.pairing import is_mask_name, pair
from delineate.errors import ConfigError, DataError
from delineate.io import stem
from delineate.systems.spine.schema.entries import Phase
from delineate.systems.spine.slices.rows import Row

__all__ = ["PHASES", "class_folders", "image_and_mask_folders"]

log = logging.getLogger("delineate")

PHASES: dict[str, Phase] = {
    word: "val" if split == "validation" else "train" if split == "train" else "test"
    for word, split in SPLITS.items()
}
"""Words for a phase, in lower case."""
_IMAGES = re.compile(r"(?:^|[-_ .])(?:images?|imgs?|scans?|volumes?|inputs?|slices?|pictures?)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A file, and what the folders above it say."""

    path: Path
    name: str
    phase: Phase | None
    folders: tuple[str, ...]
    """From the top, without that of the phase."""


def class_folders(root: Path, files: Sequence[Path], *, class_levels: int = 1) -> list[Row]:
    """<phase>/<class>/**: each image is of the class whose folder it lies in, at any depth.

    Args:
        root: The source's folder.
        files: The images below it.
        class_levels: How many folders make the name of a class, such as 3 of MR/spine/normal.
    """
    if class_levels < 1:
        raise ConfigError(f"class_levels: {class_levels} folders name no class. Fix: 1 or more.")
    rows = []
    for place in _places(root, files):
        if len(place.folders) < class_levels:
            raise DataError(
                f"{place.path}: lies in no folder of a class. Fix: the crawler 'file' wants "
                f"{root.name}/<phase>/<class>/{place.path.name}, or without <phase>."
            )
        rows.append(
            Row(
                path=str(place.path),
                name=place.name,
                label="/".join(place.folders[:class_levels]),
                phase=place.phase,
                folder="/".join(place.folders[class_levels:]),
            )
        )
    return rows


def image_and_mask_folders(
    root: Path,
    files: Sequence[Path],
    others: Sequence[Path],
    *,
    images: str | None = None,
    masks: str | None = None,
    missing_mask: str = "error",
) -> list[Row]:
    """<phase>/images/** beside <phase>/masks/**: a mask has the name of its image.

    Roles and phases may change places, lie below folders of patients, or be absent: then names tell
    masks, as in `a.png` and `a_mask.png`.

    Args:
        root: The source's folder.
        files: The files below it that may be images.
        others: Those that can be masks only.
        images: The name of the folders of images; None knows images, scans, slices and the like.
        masks: The same of masks; None knows masks, labels, lesions, segmentations and the like.
        missing_mask: What an image without one is: an 'error', 'empty' (no lesion), or to 'skip'.
    """
    if missing_mask not in ("error", "empty", "skip"):
        raise ConfigError(f"missing_mask: '{missing_mask}' is none of error, empty and skip.")
    places = [(place, True) for place in _places(root, files)]
    places += [(place, False) for place in _places(root, others)]
    roles = [_role(place.folders, images, masks) for place, _ in places]
    by_folder = any(role is not None for role, _ in roles)
    found: dict[tuple[Phase | None, tuple[str, ...]], tuple[list[_Place], list[_Place]]] = {}
    for (place, may_be_image), (role, rest) in zip(places, roles, strict=True):
        said = role if by_folder else "mask" if is_mask_name(stem(place.path)) else None
        is_mask = said == "mask" or not may_be_image
        sides = found.setdefault((place.phase, rest), ([], []))
        sides[is_mask].append(place)
    rows, left = [], []
    for (_, folder), (pictures, drawn) in found.items():
        drawn += found.get((None, folder), ((), ()))[1] if not drawn else []
        paired, spare = pair(_once(pictures), [place.path for place in drawn])
        left += [path for path in spare if pictures]
        for place in pictures:
            mask = paired.get(stem(place.path))
            label = None if mask is None else str(mask)
            where = "/".join(folder)
            rows.append(
                Row(
                    path=str(place.path),
                    name=place.name,
                    label=label,
                    phase=place.phase,
                    folder=where,
                )
            )
    return _with_masks(root, rows, left, missing_mask)


def _with_masks(root: Path, rows: list[Row], left: list[Path], missing: str) -> list[Row]:
    """The rows in the order of their names, those without a mask as is asked."""
    rows = sorted(rows, key=lambda row: natural(row.name))
    bare = [row.name for row in rows if row.label is None]
    if bare and missing == "error":
        some = ", ".join(bare[:3]) + (" ..." if len(bare) > 3 else "")
        spare = f" Masks without an image: {left[0].name} and others." if left else ""
        raise DataError(
            f"{root}: {len(bare)} of {len(rows)} images have no mask: {some}.{spare} Fix: "
            "<phase>/images/a.png has <phase>/masks/a.png; where no mask means no lesion, say "
            "missing_mask: empty in the crawler's params, or skip to leave such images out."
        )
    if left:
        log.warning("%s: %d masks have no image, such as %s.", root, len(left), left[0].name)
    return [row for row in rows if row.label is not None or missing == "empty"]


def _places(root: Path, files: Iterable[Path]) -> list[_Place]:
    places = []
    for path in files:
        inner = PurePosixPath(path.relative_to(root).as_posix())
        folders = list(inner.parts[:-1])
        at = next((i for i, name in enumerate(folders) if name.lower() in PHASES), None)
        phase = None if at is None else PHASES[folders.pop(at).lower()]
        places.append(_Place(path=path, name=str(inner), phase=phase, folders=tuple(folders)))
    return sorted(places, key=lambda place: natural(place.name))


def _role(
    folders: tuple[str, ...], images: str | None, masks: str | None
) -> tuple[str | None, tuple[str, ...]]:
    """What the last telling folder says, and the others."""
    for at in reversed(range(len(folders))):
        name, rest = folders[at], (*folders[:at], *folders[at + 1 :])
        if name == masks or (masks is None and is_mask_name(name)):
            return "mask", rest
        if name == images or (images is None and _IMAGES.search(name.lower())):
            return "image", rest
    return None, folders


def _once(pictures: Sequence[_Place]) -> list[str]:
    """The stems; two images of one stem in one folder are a DataError."""
    seen: dict[str, _Place] = {}
    for place in pictures:
        name = stem(place.path)
        if name in seen:
            raise DataError(
                f"{place.path}: has the name of {seen[name].path}; which mask is whose cannot be "
                "told. Fix: rename one of them, or say images: and masks: in the crawler's params."
            )
        seen[name] = place
    return list(seen)
