"""Raw data sets: who is found in them, and what is wrong with a mask."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from delineate.errors import ConfigError, DataError
from delineate.systems.liver.raw_trees import find_subjects, read_subject

SHAPE = (6, 5, 4)
AFFINE = np.diag([2.0, 1.5, 3.0, 1.0])


def save(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)


def scan(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1000, 1000, SHAPE).astype(np.int16)


def ids() -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[1:4, 1:4, 1:3] = 1
    mask[2, 2, 1] = 2
    return mask


def decathlon(root: Path) -> None:
    save(root / "imagesTr/liver_10.nii.gz", scan())
    save(root / "labelsTr/liver_10.nii.gz", ids())
    save(root / "imagesTr/liver_2.nii", scan(1))
    save(root / "labelsTr/liver_2.nii.gz", ids())
    (root / "imagesTr/._liver_2.nii.gz").write_bytes(b"what macOS leaves behind")


def lits(root: Path) -> None:
    save(root / "volumes/volume-0.nii", scan())
    save(root / "segmentations/segmentation-0.nii", ids())
    save(root / "volumes/volume-12.nii.gz", scan())
    save(root / "segmentations/segmentation-12.nii", ids())


def jipmer(root: Path) -> None:
    for number, letter, phase in ((1, "A", "Arterial"), (1, "V", "Venous"), (2, "P", "Portal")):
        name, folder = f"{number}{letter}", f"{phase} Phase"
        save(root / f"niigz dicom/{folder}/Dliver{name}.nii", scan(number))
        save(root / f"niigz liver/{folder}/LS{name}.nii.gz", np.uint8(255) * (ids() > 0))
        save(root / f"niigz tumor/{folder}/TS{name}.nii", (ids() == 2).astype(np.int16))


@pytest.mark.parametrize(
    ("kind", "make", "found"),
    [
        ("medical_decathlon", decathlon, [("liver_2", "liver_2"), ("liver_10", "liver_10")]),
        ("lits", lits, [("lits_0", "lits_0"), ("lits_12", "lits_12")]),
        ("jipmer", jipmer, [("1A", "1"), ("1V", "1"), ("2P", "2")]),
    ],
)
def test_every_type_gives_ids_without_suffixes_and_the_patients_behind_them(
    tmp_path: Path, kind, make, found
) -> None:
    make(tmp_path)
    subjects = find_subjects(tmp_path, kind)
    assert [(s.id, s.patient) for s in subjects] == found
    for subject in subjects:
        image, mask = read_subject(subject)
        assert image.array.dtype == np.int16
        np.testing.assert_array_equal(mask.array[0], ids())
        np.testing.assert_allclose(mask.affine, AFFINE)


@pytest.mark.parametrize("phase", ["portal", "P", "Portal Phase"])
def test_a_phase_is_chosen_by_name_or_letter(tmp_path: Path, phase: str) -> None:
    jipmer(tmp_path)
    assert [s.id for s in find_subjects(tmp_path, "jipmer", phase=phase)] == ["2P"]


def test_a_mask_stored_on_other_axes_lies_on_the_same_grid(tmp_path: Path) -> None:
    flipped = AFFINE.copy()
    flipped[0, 0], flipped[0, 3] = -AFFINE[0, 0], AFFINE[0, 0] * (SHAPE[0] - 1)
    save(tmp_path / "imagesTr/a.nii.gz", scan())
    save(tmp_path / "labelsTr/a.nii.gz", ids()[::-1].copy(), flipped)
    _, mask = read_subject(find_subjects(tmp_path, "medical_decathlon")[0])
    np.testing.assert_array_equal(mask.array[0], ids())


@pytest.mark.parametrize(
    ("mask", "affine", "message"),
    [
        (ids()[:5], AFFINE, "a.nii.gz is 5x5x4 but a.nii.gz is 6x5x4"),
        (ids(), np.diag([2.0, 1.5, 2.0, 1.0]), "a.nii.gz has voxels of 2x1.5x2 mm"),
        (ids() * 0.3, AFFINE, "a mask must hold whole numbers"),
        (ids().astype(np.int16) - 1, AFFINE, "holds ids from -1 to 1"),
        (np.zeros((*SHAPE, 2), np.uint8), AFFINE, "holds 2 channels"),
    ],
)
def test_what_is_wrong_with_a_mask_is_said(tmp_path: Path, mask, affine, message) -> None:
    save(tmp_path / "imagesTr/a.nii.gz", scan())
    save(tmp_path / "labelsTr/a.nii.gz", mask, affine)
    with pytest.raises(DataError, match=message):
        read_subject(find_subjects(tmp_path, "medical_decathlon")[0])


def test_a_scan_without_a_mask_is_found_and_refused_when_it_is_read(tmp_path: Path) -> None:
    jipmer(tmp_path)
    (tmp_path / "niigz tumor/Venous Phase/TS1V.nii").unlink()
    subject = find_subjects(tmp_path, "jipmer", phase="venous")[0]
    with pytest.raises(DataError, match=r"Dliver1V\.nii has no mask\. Fix: add it"):
        read_subject(subject)


def test_one_scan_twice_is_refused(tmp_path: Path) -> None:
    decathlon(tmp_path)
    save(tmp_path / "imagesTr/liver_2.nii.gz", scan())
    with pytest.raises(DataError, match="are the same scan"):
        find_subjects(tmp_path, "medical_decathlon")


@pytest.mark.parametrize(
    ("kind", "phase", "error", "message"),
    [
        ("decathlon", None, ConfigError, "dataset_type 'decathlon' is unknown. Fix: use medical_"),
        ("lits", "portal", ConfigError, "phase 'portal': only jipmer has phases."),
        ("jipmer", "late", ConfigError, "phase 'late' is unknown. Fix: use arterial, portal,"),
        ("lits", None, DataError, "holds no scan of the type lits. Fix: give the folder with vol"),
    ],
)
def test_what_cannot_be_found_is_said(tmp_path: Path, kind, phase, error, message) -> None:
    with pytest.raises(error, match=message):
        find_subjects(tmp_path, kind, phase=phase)
    with pytest.raises(DataError, match="no such folder"):
        find_subjects(tmp_path / "absent", "lits")
