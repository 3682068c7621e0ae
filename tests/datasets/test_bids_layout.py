"""BIDS trees: ATLAS 2.0, ivadomed and SCT names, sessions, raters, contrasts."""

from pathlib import Path

import pytest

from delineate.datasets import read_dataset
from delineate.errors import DataError

ATLAS = "space-MNI152NLin2009aSym"


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def spine(root: Path, *kinds: str, people: int = 2) -> Path:
    """T1w and T2w of each person, and masks of these kinds for T2w in derivatives/labels."""
    for number in range(1, people + 1):
        person = f"sub-{number:02d}"
        touch(root, f"{person}/anat/{person}_T1w.nii.gz", f"{person}/anat/{person}_T2w.nii.gz")
        for kind in kinds:
            touch(root, f"derivatives/labels/{person}/anat/{person}_T2w_{kind}.nii.gz")
    return root


def test_atlas_masks_lie_beside_the_image_and_drop_its_contrast(tmp_path: Path) -> None:
    for split, person in (("Training", "sub-r048s014"), ("Training", "sub-r009s001")):
        stem = f"{split}/{person[4:8]}/{person}/ses-1/anat/{person}_ses-1_{ATLAS}"
        touch(tmp_path, f"{stem}_T1w.nii.gz", f"{stem}_label-L_desc-T1lesion_mask.nii.gz")
    stem = f"Testing/r100/sub-r100s001/ses-1/anat/sub-r100s001_ses-1_{ATLAS}"
    touch(tmp_path, f"{stem}_T1w.nii.gz")
    dataset = read_dataset(tmp_path)
    assert (dataset.layout, dataset.channels) == ("bids", ("T1w",))
    assert [case.id for case in dataset.cases] == [
        f"sub-r009s001_ses-1_{ATLAS}_T1w",
        f"sub-r048s014_ses-1_{ATLAS}_T1w",
        f"sub-r100s001_ses-1_{ATLAS}_T1w",
    ]
    assert [case.group for case in dataset.cases] == [
        "sub-r009s001",
        "sub-r048s014",
        "sub-r100s001",
    ]
    assert [case.split for case in dataset.cases] == ["train", "train", "test"]
    assert str(dataset.cases[0].label).endswith("label-L_desc-T1lesion_mask.nii.gz")
    assert dataset.cases[2].label is None
    assert dataset.labels is None


@pytest.mark.parametrize(
    "kind",
    [
        "seg-manual",
        "lesion-manual",
        "label-SC_seg",
        "softseg",
        "label-rootlets_dseg",
        "gmseg-manual",
    ],
)
def test_masks_of_ivadomed_and_sct_are_found_in_derivatives(tmp_path: Path, kind: str) -> None:
    dataset = read_dataset(spine(tmp_path, kind))
    assert [case.id for case in dataset.cases] == ["sub-01_T2w", "sub-02_T2w"]
    assert all(str(case.label).endswith(f"_T2w_{kind}.nii.gz") for case in dataset.cases)
    assert dataset.channels == ("T2w",)


def test_point_labels_and_probabilities_are_no_masks(tmp_path: Path) -> None:
    spine(tmp_path, "seg-manual", "labels-disc-manual", "label-GM_probseg", "label-disc_dlabel")
    dataset = read_dataset(tmp_path)
    assert all(str(case.label).endswith("_seg-manual.nii.gz") for case in dataset.cases)
    assert dataset.orphans == ()


def test_contrasts_with_masks_of_their_own_are_cases_of_one_subject(tmp_path: Path) -> None:
    spine(tmp_path, "seg-manual")
    touch(tmp_path, "derivatives/labels/sub-01/anat/sub-01_T1w_seg-manual.nii.gz")
    dataset = read_dataset(tmp_path)
    ids = [case.id for case in dataset.cases]
    assert ids == ["sub-01_T1w", "sub-01_T2w", "sub-02_T1w", "sub-02_T2w"]
    assert [case.group for case in dataset.cases] == ["sub-01", "sub-01", "sub-02", "sub-02"]
    assert dataset.cases[2].label is None
    assert dataset.channels == ("image",)


def test_contrasts_become_channels_when_asked(tmp_path: Path) -> None:
    spine(tmp_path, "lesion-manual")
    (tmp_path / "sub-02/anat/sub-02_T1w.nii.gz").unlink()
    dataset = read_dataset(tmp_path, layout="bids:channels=T1w+T2w")
    assert dataset.channels == ("T1w", "T2w")
    (case,) = dataset.cases
    assert (case.id, len(case.images)) == ("sub-01", 2)
    assert str(case.label).endswith("sub-01_T2w_lesion-manual.nii.gz")
    assert [Path(path).name for path in dataset.orphans] == ["sub-02_T2w.nii.gz"]


def test_one_contrast_can_be_asked_for(tmp_path: Path) -> None:
    spine(tmp_path, "seg-manual")
    touch(tmp_path, "derivatives/labels/sub-01/anat/sub-01_T1w_seg-manual.nii.gz")
    dataset = read_dataset(tmp_path, layout="bids:channels=T1w")
    assert [case.id for case in dataset.cases] == ["sub-01_T1w", "sub-02_T1w"]


def test_several_kinds_of_mask_must_be_chosen_from(tmp_path: Path) -> None:
    spine(tmp_path, "seg-manual", "lesion-manual")
    with pytest.raises(DataError) as error:
        read_dataset(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: images have several kinds of mask: lesion-manual (2), seg-manual (2). "
        "Fix: name one with layout='bids:mask=lesion-manual'."
    )
    dataset = read_dataset(tmp_path, layout="bids:mask=seg-manual")
    assert all(str(case.label).endswith("seg-manual.nii.gz") for case in dataset.cases)


def test_raters_of_one_image_must_be_chosen_from(tmp_path: Path) -> None:
    spine(tmp_path, "lesion-manual-rater1", "lesion-manual-rater2", people=1)
    with pytest.raises(DataError) as error:
        read_dataset(tmp_path)
    assert str(error.value) == (
        "sub-01_T2w.nii.gz: 2 masks answer to 'lesion-manual': labels/lesion-manual-rater1, "
        "labels/lesion-manual-rater2. "
        "Fix: name one with layout='bids:mask=labels/lesion-manual-rater1'."
    )
    dataset = read_dataset(tmp_path, layout="bids:mask=lesion-manual-rater2")
    assert str(dataset.cases[0].label).endswith("rater2.nii.gz")


def test_one_rater_an_image_needs_no_choice(tmp_path: Path) -> None:
    spine(tmp_path, people=2)
    for person, rater in (("sub-01", 1), ("sub-02", 2)):
        name = f"derivatives/labels/{person}/anat/{person}_T2w_seg-manual-rater{rater}.nii.gz"
        touch(tmp_path, name)
    assert all(case.label is not None for case in read_dataset(tmp_path).cases)


def test_a_mask_whose_image_is_absent_is_left_over(tmp_path: Path) -> None:
    spine(tmp_path, "seg-manual")
    (tmp_path / "sub-02/anat/sub-02_T2w.nii.gz").unlink()
    dataset = read_dataset(tmp_path)
    assert [case.id for case in dataset.cases] == ["sub-01_T2w"]
    assert [Path(path).name for path in dataset.orphans] == ["sub-02_T2w_seg-manual.nii.gz"]


def test_a_kind_that_no_image_has_is_named(tmp_path: Path) -> None:
    spine(tmp_path, "seg-manual")
    with pytest.raises(DataError) as error:
        read_dataset(tmp_path, layout="bids:mask=tumour")
    assert str(error.value) == f"{tmp_path}: no image has a mask 'tumour'. Found: seg-manual (2)."


def test_two_images_of_one_contrast_in_a_session_are_named(tmp_path: Path) -> None:
    anat = "sub-01/anat/sub-01"
    touch(tmp_path, f"{anat}_run-1_T1w.nii.gz", f"{anat}_run-2_T1w.nii.gz", f"{anat}_T2w.nii.gz")
    touch(tmp_path, f"{anat}_T2w_seg.nii.gz")
    with pytest.raises(DataError, match=r"sub-01: sub-01_run-1_T1w\.nii\.gz and sub-01_run-2"):
        read_dataset(tmp_path, layout="bids:channels=T1w+T2w")
    dataset = read_dataset(tmp_path, layout="bids:channels=run-1_T1w+T2w")
    assert [len(case.images) for case in dataset.cases] == [2]
