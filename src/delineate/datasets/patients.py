"""One subfolder per patient with the same file names in each: FLAIR, T1 and a mask."""

from collections import Counter
from collections.abc import Collection
from pathlib import Path

from delineate.datasets.case import Case, Dataset
from delineate.datasets.listing import SPLITS, natural, scans_in, subfolders
from delineate.datasets.pairing import is_mask_name
from delineate.errors import DataError
from delineate.io import stem

__all__ = ["EXPECTS", "read", "recognise"]

EXPECTS = "one subfolder per patient with equal file names, one of them a mask (lesion, mask, seg)"


def recognise(root: Path) -> bool:
    """Whether more than half of the subfolders hold the same images, and some hold a mask."""
    folders = [folder for folder in subfolders(root) if folder.name.lower() not in SPLITS]
    patients = [names for names in map(_by_name, folders) if names]
    images = [frozenset(name for name in names if not is_mask_name(name)) for names in patients]
    if not patients or len(folders) < len(subfolders(root)):
        return False
    usual, held = Counter(images).most_common(1)[0]
    masked = any(is_mask_name(name) for names in patients for name in names)
    return masked and bool(usual) and 2 * held > len(patients)


def read(root: Path, *, mask: str | None = None) -> Dataset:
    """One case per subfolder, its channels in the order of their names; `mask` names the mask.

    A patient without every image is no case: its files are left over. One without a mask has none.
    """
    patients = {folder.name: names for folder in subfolders(root) if (names := _by_name(folder))}
    chosen = mask or _only_mask(root, patients.values())
    channels = _usual_images(patients.values(), chosen)
    cases: list[Case] = []
    orphans: list[str] = []
    for patient, files in patients.items():
        if not channels or any(name not in files for name in channels):
            orphans += map(str, files.values())
            continue
        label = str(files[chosen]) if chosen in files else None
        images = tuple(str(files[name]) for name in channels)
        cases.append(Case(id=patient, images=images, label=label, group=patient))
    return Dataset(
        root=root,
        layout="patients",
        cases=tuple(sorted(cases, key=lambda case: case.id)),
        channels=channels or ("image",),
        orphans=tuple(orphans),
    )


def _by_name(folder: Path) -> dict[str, Path]:
    """The scans of a patient by what each is: `BraTS_001_flair.nii.gz` in BraTS_001/ is 'flair'."""
    found = {}
    for path in scans_in(folder):
        name = stem(path)
        found[name.removeprefix(folder.name).lstrip("-_ .") or name] = path
    return found


def _usual_images(patients: Collection[dict[str, Path]], mask: str) -> tuple[str, ...]:
    """The names of the images that most patients have, without any mask."""
    sets = Counter(
        frozenset(name for name in names if name != mask and not is_mask_name(name))
        for names in patients
    )
    return tuple(sorted(sets.most_common(1)[0][0], key=natural)) if sets else ()


def _only_mask(root: Path, patients: Collection[dict[str, Path]]) -> str:
    """The one mask name that the patients use; several or none are a DataError."""
    masks = sorted({name for names in patients for name in names if is_mask_name(name)})
    if len(masks) == 1:
        return masks[0]
    found = f"{len(masks)} kinds of mask ({', '.join(masks)})" if masks else "no mask"
    example = masks[0] if masks else "NAME"
    raise DataError(
        f"{root}: the patients' folders hold {found}. Fix: name one with "
        f"layout='patients:mask={example}'."
    )
