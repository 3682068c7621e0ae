"""The raw data sets that are known: which scan has which mask, and whose it is.

- `medical_decathlon`: `imagesTr/<id>.nii.gz` with `labelsTr/<id>.nii.gz`.
- `lits`: `volumes/volume-<N>.nii` with `segmentations/segmentation-<N>.nii`.
- `jipmer`: `niigz dicom/<Phase> Phase/Dliver<N><A, P or V>.nii` with `LS<N><...>.nii` somewhere in
  `niigz liver` and `TS<N><...>.nii` in `niigz tumor`, in which anything but 0 is marked.

Labels become 1 in the liver and 2 in its tumours. Every file may be .nii or .nii.gz.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from delineate.datasets.alignment import misfit
from delineate.datasets.listing import natural
from delineate.errors import ConfigError, DataError
from delineate.io import Volume, read_mask, read_volume, stem

__all__ = ["PHASES", "RAW_TREES", "RawSubject", "find_subjects", "read_subject"]

PHASES = {"arterial": "A", "portal": "P", "venous": "V"}
_LIVER, _TUMOUR = 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class RawSubject:
    """One scan and its mask, before anything is read."""

    id: str
    patient: str
    image: Path
    masks: tuple[Path | None, ...]
    """One file of ids; or one of the liver and one of its tumours. None where it is missing."""


def find_subjects(root: Path, kind: str, *, phase: str | None = None) -> tuple[RawSubject, ...]:
    """All scans of a raw data set, in natural order; a scan without a mask is among them.

    Args:
        root: Its folder.
        kind: 'medical_decathlon', 'lits' or 'jipmer'.
        phase: For jipmer: 'arterial', 'portal' or 'venous', or their first letters; None is all.
    """
    if kind not in RAW_TREES:
        raise ConfigError(f"dataset_type '{kind}' is unknown. Fix: use {', '.join(RAW_TREES)}.")
    if phase is not None and kind != "jipmer":
        raise ConfigError(f"phase '{phase}': only jipmer has phases. Fix: leave it out.")
    if not root.is_dir():
        raise DataError(f"{root}: no such folder. Fix: give the folder of the raw data set.")
    wanted = None if phase is None else _letter(phase)
    found = [s for s in RAW_TREES[kind](root) if wanted is None or s.id.endswith(wanted)]
    if not found:
        raise DataError(
            f"{root}: holds no scan of {'' if phase is None else f'phase {phase} of '}the type "
            f"{kind}. Fix: {_EXPECTS[kind]}"
        )
    return tuple(sorted(_unique(found), key=lambda subject: natural(subject.id)))


def read_subject(subject: RawSubject) -> tuple[Volume, Volume]:
    """The scan and its mask of ids, which lie on one grid."""
    image = read_volume(subject.image)
    masks = [_read_mask(path, image, subject) for path in subject.masks]
    if len(masks) == 1:
        return image, masks[0]
    ids = np.zeros(image.shape, np.uint8)
    for mask, label in zip(masks, (_LIVER, _TUMOUR), strict=True):
        ids[mask.array[0] != 0] = label
    return image, Volume(array=ids[None], affine=image.affine, source=image.source)


def _read_mask(path: Path | None, image: Volume, subject: RawSubject) -> Volume:
    if path is None:
        raise DataError(
            f"{subject.image.name} has no mask. "
            "Fix: add it, all 0 where there is nothing to mark, or take the scan away."
        )
    mask = read_mask(path)
    if len(mask.array) != 1:
        raise DataError(f"{path.name}: holds {len(mask.array)} channels. Fix: one channel of ids.")
    wrong = misfit(image, mask, name=subject.image.name)
    if wrong is not None and wrong.kind != "grid-noise":
        raise DataError(f"{path.name} {wrong.text}. Fix: delineate doctor, or export them again.")
    if mask.array.min(initial=0) < 0 or mask.array.max(initial=0) > np.iinfo(np.uint8).max:
        raise DataError(
            f"{path.name}: holds ids from {mask.array.min()} to {mask.array.max()}. "
            "Fix: ids are 0 to 255."
        )
    return mask


def _decathlon(root: Path) -> Iterator[RawSubject]:
    masks = _by_stem(root / "labelsTr")
    for name, path in _by_stem(root / "imagesTr").items():
        yield RawSubject(id=name, patient=name, image=path, masks=(masks.get(name),))


def _lits(root: Path) -> Iterator[RawSubject]:
    masks = _by_stem(root / "segmentations")
    for name, path in _by_stem(root / "volumes").items():
        if match := re.fullmatch(r"volume-(\w+)", name):
            mask = masks.get(f"segmentation-{match[1]}")
            id = f"lits_{match[1]}"
            yield RawSubject(id=id, patient=id, image=path, masks=(mask,))


def _jipmer(root: Path) -> Iterator[RawSubject]:
    kinds = ("dicom", "liver", "tumor")
    scans, livers, tumours = (
        {name.upper(): path for name, path in _by_stem(root / f"niigz {kind}").items()}
        for kind in kinds
    )
    for name, path in scans.items():
        if match := re.fullmatch(r"DLIVER(\d+)([APV])", name):
            id = match[1] + match[2]
            masks = (livers.get(f"LS{id}"), tumours.get(f"TS{id}"))
            yield RawSubject(id=id, patient=match[1], image=path, masks=masks)


RAW_TREES: dict[str, Callable[[Path], Iterable[RawSubject]]] = {
    "medical_decathlon": _decathlon,
    "jipmer": _jipmer,
    "lits": _lits,
}
"""How the scans of each type are found."""

_EXPECTS = {
    "medical_decathlon": "give the folder with imagesTr and labelsTr.",
    "lits": "give the folder with volumes (volume-0.nii) and segmentations (segmentation-0.nii).",
    "jipmer": "give the folder with 'niigz dicom', 'niigz liver' and 'niigz tumor'.",
}


def _by_stem(folder: Path) -> dict[str, Path]:
    """The NIfTI files in a folder and below by their names without suffix; hidden ones are none."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.name.startswith(".") or not path.name.endswith((".nii", ".nii.gz")):
            continue
        name = stem(path)
        if name in found:
            raise DataError(f"{path} and {found[name]} are the same scan. Fix: keep one of them.")
        found[name] = path
    return found


def _letter(phase: str) -> str:
    known = {**PHASES, **{letter.lower(): letter for letter in PHASES.values()}}
    name = phase.lower().removesuffix(" phase")
    if name not in known:
        raise ConfigError(f"phase '{phase}' is unknown. Fix: use {', '.join(PHASES)}.")
    return known[name]


def _unique(subjects: Iterable[RawSubject]) -> list[RawSubject]:
    by_id: dict[str, RawSubject] = {}
    for subject in subjects:
        other = by_id.setdefault(subject.id, subject)
        if other is not subject:
            raise DataError(
                f"{subject.image} and {other.image} both are '{subject.id}'. Fix: keep one of them."
            )
    return list(by_id.values())
