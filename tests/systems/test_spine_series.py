"""Series are found in pictures, scans and DICOM folders, and masks go back onto them."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from spine_series import volume_of, write_dicom, write_nifti, write_pictures

from delineate.errors import DataError
from delineate.io import read_mask, read_volume
from delineate.labels import Labels
from delineate.systems.spine.prediction.series_slices import (
    Slices,
    mask_files,
    read_slices,
    write_masks,
)
from delineate.systems.spine.slices.series import find_series, refuse_inside

LABELS = Labels.from_names({"lesion": 1})
RNG = np.random.default_rng(3)
PICTURES = [RNG.integers(0, 255, (6, 5)).astype(np.uint8) for _ in range(5)]


def only(place: Path) -> Slices:
    (series,) = find_series(place)
    return read_slices(series)


def random_masks(slices: Slices) -> list[np.ndarray]:
    return [RNG.integers(0, 2, p.shape[:2]).astype(np.uint8) for p in slices.pictures]


def test_a_tree_of_all_kinds_is_found_in_the_order_of_names(tmp_path: Path):
    root = tmp_path / "scans"
    write_pictures(root / "patient_10" / "t2", PICTURES)
    write_pictures(root / "patient_2", [*PICTURES, *PICTURES, PICTURES[0]])
    write_nifti(root / "patient_10" / "t1.nii.gz", volume_of(PICTURES))
    write_nifti(root / "patient_2" / "patient_2.nii", volume_of(PICTURES))
    write_dicom(root / "study", PICTURES)
    write_pictures(root / "earlier", PICTURES)
    (root / "earlier" / "prediction.json").write_text("{}")
    write_pictures(root / ".hidden", PICTURES)
    (root / "notes.txt").write_text("nothing")
    found = find_series(root)
    assert [(s.id, s.kind) for s in found] == [
        ("scans/patient_2", "pictures"),
        ("scans/patient_2/patient_2", "volume"),
        ("scans/patient_10/t1", "volume"),
        ("scans/patient_10/t2", "pictures"),
        ("scans/study", "dicom"),
    ]
    names = [Path(file).stem for file in found[0].files]
    assert names == [f"slice_{number}" for number in range(1, 12)]


def test_each_series_of_a_dicom_folder_stands_for_itself(tmp_path: Path):
    write_dicom(tmp_path / "study", PICTURES)
    write_dicom(tmp_path / "more", PICTURES[:2], series="1.2.9")
    for file in (tmp_path / "more").iterdir():
        file.rename(tmp_path / "study" / f"other_{file.name}")
    found = find_series(tmp_path / "study")
    assert {s.name for s in found} == {"1.2.3.7", "1.2.9"}
    assert sorted(len(read_slices(s).pictures) for s in found) == [2, 5]


@pytest.mark.parametrize("kind", ["picture", "volume", "dicom"])
def test_one_file_is_a_series(kind: str, tmp_path: Path):
    if kind == "picture":
        place = write_pictures(tmp_path / "t2", PICTURES) / "slice_2.png"
    elif kind == "volume":
        place = write_nifti(tmp_path / "t2" / "a.nii", volume_of(PICTURES))
    else:
        place = next(write_dicom(tmp_path / "t2", PICTURES).iterdir())
    slices = only(place)
    assert slices.series.folder == "t2"
    assert len(slices.pictures) == (5 if kind == "volume" else 1)


def test_what_cannot_be_told_apart_or_read_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="no such file"):
        find_series(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(DataError, match="no images here"):
        find_series(tmp_path)
    with pytest.raises(DataError, match="not an image"):
        find_series(tmp_path / "notes.txt")
    write_nifti(tmp_path / "a.nii", volume_of(PICTURES))
    write_nifti(tmp_path / "a.nii.gz", volume_of(PICTURES))
    with pytest.raises(DataError, match=r"two scans in .* are called a;"):
        find_series(tmp_path)
    twins = write_pictures(tmp_path / "twins", PICTURES)
    Image.fromarray(PICTURES[0]).save(twins / "slice_1.jpg")
    with pytest.raises(DataError, match="differ in their suffix alone, such as slice_1"):
        only(twins)


def test_masks_never_come_to_lie_among_the_slices(tmp_path: Path):
    place = write_pictures(tmp_path / "scans", PICTURES)
    for among in (place, place / "slice_1.png"):
        with pytest.raises(DataError, match="among the slices"):
            refuse_inside(among, tmp_path)
    refuse_inside(place, tmp_path / "out")
    refuse_inside(place, place / "out")


def test_masks_of_pictures_are_pictures_of_their_size(tmp_path: Path):
    place = write_pictures(tmp_path / "t2", [PICTURES[0], PICTURES[1][:4]])
    colour = np.stack([PICTURES[2]] * 3, -1)
    colour[0, 0] = (9, 0, 0)
    Image.fromarray(colour).save(place / "slice_3.png")
    slices = only(place)
    assert [p.shape for p in slices.pictures] == [(6, 5), (4, 5), (6, 5, 3)]
    masks = random_masks(slices)
    files = mask_files(slices, tmp_path / "out", prefix="predict_")
    write_masks(slices, masks, files, labels=LABELS)
    assert files[1] == tmp_path / "out" / "t2" / "predict_slice_2.png"
    for mask, file in zip(masks, files, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(file)), mask * 255)


def test_a_mask_lies_on_the_grid_of_an_oblique_scan_with_permuted_axes(tmp_path: Path):
    path = write_nifti(tmp_path / "in" / "t2.nii.gz", volume_of(PICTURES))
    slices = only(path)
    np.testing.assert_array_equal(slices.pictures, PICTURES)
    masks = random_masks(slices)
    files = mask_files(slices, tmp_path / "out", prefix="predict_")
    write_masks(slices, masks, files, labels=LABELS)
    assert files == (tmp_path / "out" / "in" / "predict_t2.nii.gz",)
    scan, written = nib.load(path), nib.load(files[0])
    np.testing.assert_allclose(written.affine, scan.affine, atol=1e-5)
    assert written.get_data_dtype() == np.uint8
    # The file's own axes are posterior, superior, right.
    expected = volume_of(masks).transpose(1, 2, 0)[::-1]
    np.testing.assert_array_equal(np.asarray(written.dataobj), expected)


@pytest.mark.parametrize("nifti", [False, True])
def test_a_dicom_series_gets_a_segmentation_on_its_own_slices(nifti: bool, tmp_path: Path):
    place = write_dicom(tmp_path / "t2", PICTURES)
    slices = only(place)
    # The series runs from left to right, as the canonical axis does.
    np.testing.assert_array_equal(slices.pictures, PICTURES)
    masks = random_masks(slices)
    (file,) = mask_files(slices, tmp_path / "out", prefix="predict_", nifti=nifti)
    write_masks(slices, masks, (file,), labels=LABELS)
    assert file.name == ("predict_t2.nii.gz" if nifti else "predict_t2.dcm")
    if nifti:
        written, scan = read_mask(file), read_volume(place)
        np.testing.assert_allclose(written.affine, scan.affine, atol=1e-4)
        np.testing.assert_array_equal(written.array[0], volume_of(masks))
        return
    import pydicom

    found = pydicom.dcmread(file)
    at = {round(40.0 - 3.0 * index, 3): mask for index, mask in enumerate(masks)}
    assert found.NumberOfFrames == sum(bool(mask.any()) for mask in masks)
    frames = found.pixel_array.reshape(-1, *PICTURES[0].shape)
    for frame, group in zip(frames, found.PerFrameFunctionalGroupsSequence, strict=True):
        x = float(group.PlanePositionSequence[0].ImagePositionPatient[0])
        np.testing.assert_array_equal(frame, at[round(x, 3)])


def test_what_is_no_picture_is_refused_with_its_file(tmp_path: Path):
    place = write_pictures(tmp_path / "t2", PICTURES[:1])
    pages = [Image.fromarray(p) for p in PICTURES]
    pages[0].save(place / "stack.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(DataError, match=r"stack.tif"):
        only(place)
    four = nib.Nifti1Image(np.zeros((3, 4, 5, 2), np.uint8), np.eye(4))
    nib.save(four, tmp_path / "four.nii")
    with pytest.raises(DataError, match=r"four.nii: .* no scan of one channel"):
        only(tmp_path / "four.nii")
