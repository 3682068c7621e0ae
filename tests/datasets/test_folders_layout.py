"""Images and masks in two folders or side by side, and one folder per patient."""

from pathlib import Path

import pytest

from delineate.datasets import read_dataset
from delineate.errors import DataError

T1 = "space-MNI152NLin2009aSym"


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def test_equal_stems_pair_up_whatever_the_suffix(tmp_path: Path) -> None:
    touch(tmp_path, "images/10.jpg", "images/9.tif", "masks/9.png", "masks/10.png")
    dataset = read_dataset(tmp_path)
    assert dataset.layout == "folders"
    assert [case.id for case in dataset.cases] == ["10", "9"]
    assert [Path(str(case.label)).name for case in dataset.cases] == ["10.png", "9.png"]
    assert (dataset.channels, dataset.labels) == (("image",), None)


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("Images/a.nii.gz", "Masks/a_mask.nii.gz"),
        ("images/a.nii.gz", "labels/a_seg.nii.gz"),
        ("images/a_image.nii.gz", "segmentations/a_label.nii.gz"),
        ("volumes/volume-12.nii", "segmentations/segmentation-12.nii"),
        ("imgs/img0001.nii.gz", "labels/label0001.nii.gz"),
        ("imagesTr/a.nrrd", "labelsTr/a.nrrd"),
        ("images/lesion_7.png", "masks/lesion_7_mask.png"),
        ("train/a_image.nii.gz", "train/a_label.nii.gz"),
        ("scan.nii.gz", "scan_seg.nii.gz"),
    ],
)
def test_masks_that_say_their_role_pair_up(tmp_path: Path, image: str, mask: str) -> None:
    (case,) = read_dataset(touch(tmp_path, image, mask)).cases
    assert case.images == (str(tmp_path / image),)
    assert case.label == str(tmp_path / mask)


def test_flat_atlas_has_subjects_and_splits(tmp_path: Path) -> None:
    for person in ("sub-r048s014_ses-1", "sub-r048s014_ses-2", "sub-r009s001_ses-1"):
        touch(
            tmp_path,
            f"Training/Images/{person}_{T1}_T1w.nii.gz",
            f"Training/Masks/{person}_{T1}_label-L_desc-T1lesion_mask.nii.gz",
        )
    touch(tmp_path, f"Testing/Images/sub-r100s001_ses-1_{T1}_T1w.nii.gz")
    dataset = read_dataset(tmp_path)
    assert dataset.layout == "folders"
    assert [case.group for case in dataset.cases] == [
        "sub-r009s001",
        "sub-r048s014",
        "sub-r048s014",
        "sub-r100s001",
    ]
    assert [case.split for case in dataset.cases] == ["train", "train", "train", "test"]
    assert [case.label is None for case in dataset.cases] == [False, False, False, True]


def test_flat_atlas_without_the_folder_above_is_read_too(tmp_path: Path) -> None:
    name = f"sub-r048s014_ses-1_{T1}"
    touch(tmp_path, f"Images/{name}_T1w.nii.gz")
    touch(tmp_path, f"Masks/{name}_label-L_desc-T1lesion_mask.nii.gz")
    (case,) = read_dataset(tmp_path).cases
    assert (case.group, case.split) == ("sub-r048s014", None)
    assert case.label is not None


def test_splits_may_lie_below_the_roles(tmp_path: Path) -> None:
    touch(tmp_path, "images/train/a.png", "images/val/a.png", "images/test/c.png")
    touch(tmp_path, "masks/train/a.png", "masks/val/a.png")
    dataset = read_dataset(tmp_path)
    assert [(case.id, case.split) for case in dataset.cases] == [
        ("c", "test"),
        ("train_a", "train"),
        ("validation_a", "validation"),
    ]
    assert dataset.cases[2].label == str(tmp_path / "masks/val/a.png")


def test_numbered_images_are_channels_where_the_masks_say_so(tmp_path: Path) -> None:
    touch(tmp_path, "images/a_0000.nii.gz", "images/a_0001.nii.gz", "masks/a.nii.gz")
    dataset = read_dataset(tmp_path)
    assert dataset.channels == ("image_0", "image_1")
    assert [case.id for case in dataset.cases] == ["a"]


def test_numbered_slices_are_cases_where_the_masks_are_numbered_too(tmp_path: Path) -> None:
    touch(tmp_path, "images/a_0000.png", "images/a_0001.png")
    touch(tmp_path, "masks/a_0000_mask.png", "masks/a_0001_mask.png")
    assert [case.id for case in read_dataset(tmp_path).cases] == ["a_0000", "a_0001"]


def test_a_case_without_all_its_channels_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "images/a_0000.nii.gz", "images/a_0001.nii.gz", "images/b_0000.nii.gz")
    touch(tmp_path, "masks/a.nii.gz", "masks/b.nii.gz")
    with pytest.raises(DataError) as error:
        read_dataset(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: b has 1 channel files where others have 2. "
        "Fix: add what is missing, or move the case away."
    )


def test_halves_of_pairs_are_kept_or_left_over(tmp_path: Path) -> None:
    touch(
        tmp_path, "images/a.png", "images/b.png", "images/notes.txt", "masks/a.png", "masks/z.png"
    )
    dataset = read_dataset(tmp_path)
    assert [(case.id, case.label is None) for case in dataset.cases] == [("a", False), ("b", True)]
    assert dataset.orphans == (str(tmp_path / "masks/z.png"),)


def test_two_images_of_one_name_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.png", "images/a.tif", "masks/a.png")
    with pytest.raises(DataError) as error:
        read_dataset(tmp_path)
    assert str(error.value) == (
        f"{tmp_path / 'images'}: a.png and a.tif have one name. "
        "Fix: keep one of them, or list the files in a table (cases.csv)."
    )


def test_patients_folders_give_channels_and_the_mask_by_name(tmp_path: Path) -> None:
    for patient in ("p1", "p2", "p10"):
        touch(tmp_path, *(f"{patient}/{name}.nii.gz" for name in ("T1", "FLAIR", "lesions")))
    (tmp_path / "p2/lesions.nii.gz").unlink()
    touch(tmp_path, "p3/T1.nii.gz")
    dataset = read_dataset(tmp_path)
    assert (dataset.layout, dataset.channels) == ("patients", ("FLAIR", "T1"))
    assert [case.id for case in dataset.cases] == ["p1", "p10", "p2"]
    assert [case.label is None for case in dataset.cases] == [False, False, True]
    assert dataset.orphans == (str(tmp_path / "p3/T1.nii.gz"),)


def test_names_that_repeat_the_patient_are_channels_too(tmp_path: Path) -> None:
    for patient in ("BraTS_001", "BraTS_002"):
        touch(tmp_path, *(f"{patient}/{patient}_{name}.nii.gz" for name in ("t1", "t2", "seg")))
    dataset = read_dataset(tmp_path)
    assert (dataset.layout, dataset.channels) == ("patients", ("t1", "t2"))
    assert str(dataset.cases[1].label).endswith("BraTS_002_seg.nii.gz")


def test_two_masks_of_a_patient_must_be_chosen_from(tmp_path: Path) -> None:
    touch(tmp_path, "p1/T1.nii.gz", "p1/lesion.nii.gz", "p1/brain_mask.nii.gz")
    with pytest.raises(DataError) as error:
        read_dataset(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: the patients' folders hold 2 kinds of mask (brain_mask, lesion). "
        "Fix: name one with layout='patients:mask=brain_mask'."
    )
    dataset = read_dataset(tmp_path, layout="patients:mask=lesion")
    assert dataset.channels == ("T1",)
    assert dataset.cases[0].label == str(tmp_path / "p1/lesion.nii.gz")


def test_the_real_lesion_set_has_two_channels(real_data: Path) -> None:
    dataset = read_dataset(real_data / "ms_lesions")
    assert (dataset.layout, dataset.channels) == ("patients", ("FLAIR", "T1"))
    assert [case.id for case in dataset.cases] == ["patient07", "patient26"]


def test_the_real_membrane_pictures_pair_up(real_data: Path) -> None:
    dataset = read_dataset(real_data / "membrane")
    assert (dataset.layout, len(dataset.cases), dataset.orphans) == ("folders", 16, ())
    assert all(Path(str(c.label)).stem == c.id for c in dataset.cases)
