"""The repaired copy passes the doctor, says each change, and leaves the source as it was."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from planted import FAULTS, NEED_A_TWIN, Folder, twins, write_folder

from delineate.datasets import Case, Dataset, read_dataset
from delineate.datasets.doctor import examine
from delineate.datasets.repair import Change, repair
from delineate.errors import DataError
from delineate.io import read_mask, read_volume
from delineate.labels import Class, Labels


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return write_folder(tmp_path / "Task", cases=8)


def fixed(root: Path | Dataset, out: Path) -> tuple[Change, ...]:
    data = root if isinstance(root, Dataset) else read_dataset(root)
    return repair(data, examine(data), out)


def hashes(root: Path) -> dict[str, str]:
    files = (p for p in sorted(root.rglob("*")) if p.is_file())
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def voxels(path: Path) -> np.ndarray:
    return np.asanyarray(nib.nifti1.load(path).dataobj)


def test_a_copy_of_data_with_every_fault_passes_and_the_source_is_untouched(
    tmp_path: Path,
) -> None:
    folder = write_folder(tmp_path / "Task", cases=40)
    pairs = twins(folder)
    taken = [case for pair in pairs[:3] for case in pair]
    alone = [case for case in folder.cases if case not in taken]
    firsts = {min(pair) for pair in pairs[1:3]}
    for plant in FAULTS:
        plant(folder, *(pairs.pop(0) if plant in NEED_A_TWIN else (alone.pop(0), "")))
    before = hashes(folder.root)
    changes = fixed(folder.root, tmp_path / "out")
    assert hashes(folder.root) == before
    assert examine(read_dataset(tmp_path / "out")).errors == ()
    faulty = {f.case for f in examine(read_dataset(folder.root)).errors}
    assert faulty - {c.case for c in changes} == firsts


def test_good_data_is_copied_byte_for_byte_and_the_log_says_so(
    folder: Folder, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert fixed(folder.root, out) == ()
    for case in folder.cases:
        copy = out / "imagesTr" / f"{case}_0000.nii.gz"
        assert copy.read_bytes() == folder.image(case).read_bytes()
        assert (out / "labelsTr" / f"{case}.nii.gz").read_bytes() == folder.label(case).read_bytes()
    assert (out / "changes.txt").read_text() == "nothing was changed\n"
    assert json.loads((out / "dataset.json").read_text()) == {
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, "Anterior": 1, "Posterior": 2},
        "numTraining": 8,
        "file_ending": ".nii.gz",
    }


def test_a_nearly_whole_label_is_rounded_and_a_blend_of_classes_is_left_out(
    folder: Folder, tmp_path: Path
) -> None:
    truth = voxels(folder.label("case_01"))
    folder.change(folder.label("case_01"), lambda v: (v * 0.9).astype(np.float32))
    folder.change(folder.label("case_02"), lambda v: (v * 0.6).astype(np.float32))
    changes = fixed(folder.root, tmp_path / "out")
    marked = int((truth > 0).sum())
    assert [str(c) for c in changes] == [
        f"case_01: mended: {marked} label voxels rounded, by up to 0.2",
        "case_02: left out: its label has values 0.4 from an integer, "
        "which may be a blend of classes",
    ]
    assert np.array_equal(voxels(tmp_path / "out/labelsTr/case_01.nii.gz"), truth)
    assert not (tmp_path / "out/imagesTr/case_02_0000.nii.gz").exists()


def test_a_small_shift_is_undone_and_its_size_said_and_a_large_one_is_left_out(
    folder: Folder, tmp_path: Path
) -> None:
    for case, mm in (("case_01", 0.3), ("case_02", 4.0)):
        move = np.eye(4)
        move[1, 3] = mm
        folder.change(folder.label(case), lambda v: v, lambda a, m=move: m @ a)
    changes = fixed(folder.root, tmp_path / "out")
    assert [(c.case, c.action, c.kind) for c in changes] == [
        ("case_01", "mended", "grid-mismatch"),
        ("case_02", "left out", "grid-mismatch"),
    ]
    assert changes[0].message == (
        "the label given the image's header, from which its own was 0.3 mm (0.3 voxels) off"
    )
    image = read_volume(tmp_path / "out/imagesTr/case_01_0000.nii.gz")
    label = read_mask(tmp_path / "out/labelsTr/case_01.nii.gz")
    assert np.allclose(image.affine, label.affine, atol=1e-5)


def test_a_label_saved_without_its_header_is_laid_on_the_images_voxels(
    folder: Folder, tmp_path: Path
) -> None:
    before = voxels(folder.label("case_01"))
    folder.change(folder.label("case_01"), lambda v: v, lambda a: np.eye(4))
    (change,) = fixed(folder.root, tmp_path / "out")
    assert change.message == "the label given the image's header: its own says nothing (identity)"
    assert np.array_equal(voxels(tmp_path / "out/labelsTr/case_01.nii.gz"), before)


def test_nan_takes_the_minimum_and_infinity_the_maximum(folder: Folder, tmp_path: Path) -> None:
    clean = voxels(folder.image("case_01"))

    def spoil(v: np.ndarray) -> np.ndarray:
        v[0, 0, :3] = np.nan, np.inf, -np.inf
        return v

    folder.change(folder.image("case_01"), spoil)
    (change,) = fixed(folder.root, tmp_path / "out")
    rest = np.delete(clean.ravel(), [0, 1, 2])
    low, high = rest.min(), rest.max()
    assert change.message == (
        f"3 NaN or infinite voxels of the image set to {low:g} (+Inf to {high:g})"
    )
    mended = voxels(tmp_path / "out/imagesTr/case_01_0000.nii.gz")
    assert mended[0, 0, :3].tolist() == [low, high, low]
    assert np.array_equal(np.delete(mended.ravel(), [0, 1, 2]), rest)


@pytest.mark.parametrize("labels", [None, Labels.from_names({"lesion": 1})])
def test_masks_of_255_become_the_single_class(tmp_path: Path, labels: Labels | None) -> None:
    folder = write_folder(tmp_path / "Task", cases=4)
    for i, case in enumerate(folder.cases):
        value = 255 if i % 2 else 1
        folder.change(folder.label(case), lambda v, k=value: ((v > 0) * k).astype(np.uint8))
    data = replace(read_dataset(folder.root), labels=labels)
    changes = repair(data, examine(data), tmp_path / "out")
    assert {str(c) for c in changes} == {
        f"case_0{i}: mended: label value 255 set to 1" for i in (1, 3)
    }
    for case in folder.cases:
        mended = voxels(tmp_path / f"out/labelsTr/{case}.nii.gz")
        assert np.array_equal(mended, voxels(folder.label(case)) > 0)


def test_a_255_among_several_classes_is_not_guessed(folder: Folder, tmp_path: Path) -> None:
    folder.change(folder.label("case_01"), lambda v: np.where(v == 1, 255, v).astype(np.uint8))
    (change,) = fixed(folder.root, tmp_path / "out")
    assert str(change) == "case_01: left out: what its label values 255 mean cannot be told"


def test_a_fourth_axis_of_length_one_is_dropped(folder: Folder, tmp_path: Path) -> None:
    folder.change(folder.image("case_01"), lambda v: v[..., None])
    (change,) = fixed(folder.root, tmp_path / "out")
    assert change.message == "axes of length one dropped from the image"
    assert voxels(tmp_path / "out/imagesTr/case_01_0000.nii.gz").ndim == 3


def test_of_duplicates_the_first_is_kept_and_copied_masks_are_all_left_out(
    folder: Folder, tmp_path: Path
) -> None:
    folder.change(folder.image("case_04"), lambda v: voxels(folder.image("case_02")))
    folder.change(folder.label("case_05"), lambda v: voxels(folder.label("case_01")))
    changes = fixed(folder.root, tmp_path / "out")
    assert [(c.case, c.kind) for c in changes] == [
        ("case_01", "copied-label"),
        ("case_04", "duplicate-image"),
        ("case_05", "copied-label"),
    ]


def test_channels_and_splits_find_their_places(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "Task", cases=8)
    pairs = twins(folder)
    splits = ("train", "validation", "test", "train")
    cases = tuple(
        Case(
            id=a,
            images=(str(folder.image(a)), str(folder.image(b))),
            label=None if split == "test" else str(folder.label(a)),
            split=split,
        )
        for (a, b), split in zip(pairs, splits, strict=True)
    )
    for a, b in pairs:
        affine = nib.nifti1.load(folder.image(a)).affine
        folder.change(folder.image(b), lambda v: v, lambda _, m=affine: m)
    data = Dataset(root=folder.root, layout="table", cases=cases, channels=("T1", "T2"))
    changes = repair(data, examine(data), tmp_path / "out")
    assert [str(c) for c in changes] == [
        "data set: not carried over: which cases are for validation; splits_final.json lists them"
    ]
    copy = read_dataset(tmp_path / "out")
    assert (copy.channels, len(copy.cases)) == (("T1", "T2"), 4)
    assert [c.id for c in copy.cases if c.split == "test"] == [pairs[2][0]]
    (fold,) = json.loads((tmp_path / "out/splits_final.json").read_text())
    assert fold == {"train": [pairs[0][0], pairs[3][0]], "val": [pairs[1][0]]}
    assert examine(copy).errors == ()


def test_pictures_stay_pictures(tmp_path: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (tmp_path / "data" / part).mkdir(parents=True)
    for i in range(3):
        picture = rng.integers(0, 255, (40, 40)).astype(np.uint8)
        mask = np.zeros((40, 40), np.uint8)
        mask[5 + i : 20, 10:30] = 255
        Image.fromarray(picture).save(tmp_path / "data/images" / f"{i}.png")
        suffix = ".jpg" if i == 1 else ".png"
        Image.fromarray(mask).rotate(20).save(tmp_path / "data/masks" / f"{i}{suffix}", quality=60)
    changes = fixed(tmp_path / "data", tmp_path / "out")
    assert {c.kind for c in changes if c.case == "1"} == {"blurred-mask"}
    copy = read_dataset(tmp_path / "out")
    assert read_mask(str(copy.cases[1].label)).shape == (40, 40)
    assert examine(copy).errors == ()
    assert np.unique(read_mask(str(copy.cases[1].label)).array).tolist() == [0, 1]


def test_the_log_has_one_line_for_each_change(folder: Folder, tmp_path: Path) -> None:
    folder.label("case_00").unlink()
    folder.image("case_01").unlink()
    changes = fixed(folder.root, tmp_path / "out")
    assert (tmp_path / "out/changes.txt").read_text().splitlines() == [str(c) for c in changes]
    assert json.loads((tmp_path / "out/changes.json").read_text())[0] == {
        "case": "case_00",
        "action": "left out",
        "kind": "missing-label",
        "message": "case_00.nii.gz has no label",
    }
    assert {(c.case, c.kind) for c in changes} == {
        ("case_00", "missing-label"),
        ("case_01", "missing-image"),
    }


def test_a_folder_that_holds_something_is_refused(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("keep")
    with pytest.raises(DataError, match=r"not empty\. Fix: name an empty or new folder"):
        fixed(folder.root, tmp_path / "out")
    with pytest.raises(DataError, match="lies inside the data set"):
        fixed(folder.root, folder.root / "out")


def test_data_of_which_nothing_can_be_kept_is_an_error(folder: Folder, tmp_path: Path) -> None:
    for case in folder.cases:
        folder.image(case).write_bytes(b"")
    with pytest.raises(DataError, match="no case can be kept"):
        fixed(folder.root, tmp_path / "out")


def test_overlapping_masks_are_refused(folder: Folder, tmp_path: Path) -> None:
    labels = Labels(classes=(Class(name="a", id=1),), overlapping=True)
    data = replace(read_dataset(folder.root), labels=labels)
    with pytest.raises(DataError, match="its masks overlap, which nnU-Net's layout cannot hold"):
        repair(data, examine(data), tmp_path / "out")
