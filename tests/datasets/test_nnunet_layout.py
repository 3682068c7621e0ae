"""nnU-Net's raw folder: files to cases, region lists to a tree of classes."""

import json
from pathlib import Path

import pytest

from delineate.datasets import read_dataset
from delineate.errors import DataError
from delineate.labels import Class


def nnunet_folder(root: Path, **changes: object) -> Path:
    """Two training cases of two channels, the second without a label, and one test case."""
    facts = {
        "channel_names": {"0": "T1", "1": "FLAIR"},
        "labels": {"background": 0, "lesion": 1},
        "numTraining": 2,
        "file_ending": ".nii.gz",
    }
    for name in ("imagesTr/a_0000", "imagesTr/a_0001", "imagesTr/b_0000", "imagesTr/b_0001"):
        touch(root / f"{name}.nii.gz")
    for name in ("labelsTr/a", "imagesTs/t_0000", "imagesTs/t_0001"):
        touch(root / f"{name}.nii.gz")
    (root / "dataset.json").write_text(json.dumps(facts | changes))
    return root


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_channels_labels_and_test_cases_are_found(tmp_path: Path) -> None:
    dataset = read_dataset(nnunet_folder(tmp_path))
    assert dataset.layout == "nnunet"
    assert dataset.channels == ("T1", "FLAIR")
    assert [case.id for case in dataset.cases] == ["a", "b", "t"]
    a, b, t = dataset.cases
    folder = tmp_path / "imagesTr"
    assert a.images == (str(folder / "a_0000.nii.gz"), str(folder / "a_0001.nii.gz"))
    assert a.label == str(tmp_path / "labelsTr/a.nii.gz")
    assert (b.label, b.split, t.split) == (None, None, "test")
    assert dataset.orphans == ()


def test_a_label_without_image_and_a_case_without_all_channels_are_left_over(
    tmp_path: Path,
) -> None:
    nnunet_folder(tmp_path)
    (tmp_path / "imagesTr/b_0001.nii.gz").unlink()
    touch(tmp_path / "labelsTr/lonely.nii.gz")
    dataset = read_dataset(tmp_path)
    assert [case.id for case in dataset.cases] == ["a", "t"]
    names = sorted(Path(path).name for path in dataset.orphans)
    assert names == ["b_0000.nii.gz", "lonely.nii.gz"]


def test_files_that_macos_leaves_behind_are_no_cases(tmp_path: Path) -> None:
    nnunet_folder(tmp_path)
    touch(tmp_path / "imagesTr/._a_0000.nii.gz")
    touch(tmp_path / "labelsTr/._a.nii.gz")
    dataset = read_dataset(tmp_path)
    assert len(dataset.cases) == 3
    assert dataset.orphans == ()


def test_region_lists_become_a_tree_and_each_region_keeps_the_id_of_its_own(
    tmp_path: Path,
) -> None:
    labels = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3, "ignore": 4}
    found = read_dataset(nnunet_folder(tmp_path, labels=labels)).labels
    assert found is not None
    assert found.classes == (
        Class(name="whole", id=1),
        Class(name="core", id=2, parent="whole"),
        Class(name="enhancing", id=3, parent="core"),
    )
    assert found.ignore == 4
    assert found.members("whole") == (1, 2, 3)


def test_version_1_channels_and_ids_before_names_are_read(tmp_path: Path) -> None:
    facts = {"modality": {"0": "CT", "1": "PET"}, "labels": {"0": "background", "2": "liver"}}
    nnunet_folder(tmp_path)
    (tmp_path / "dataset.json").write_text(json.dumps(facts))
    dataset = read_dataset(tmp_path)
    assert dataset.channels == ("CT", "PET")
    assert dataset.labels is not None
    assert dataset.labels.classes == (Class(name="liver", id=2),)


def test_pictures_are_found_by_the_declared_ending(tmp_path: Path) -> None:
    facts = {"channel_names": {"0": "R"}, "labels": {"road": 1}, "file_ending": ".png"}
    touch(tmp_path / "imagesTr/x_0000.png")
    touch(tmp_path / "labelsTr/x.png")
    (tmp_path / "dataset.json").write_text(json.dumps(facts))
    dataset = read_dataset(tmp_path)
    assert dataset.cases[0].label == str(tmp_path / "labelsTr/x.png")


def test_a_dataset_table_may_point_anywhere(tmp_path: Path) -> None:
    touch(tmp_path / "scans/one.nii.gz")
    touch(tmp_path / "truth/one.nii.gz")
    table = {
        "one": {"images": ["../scans/one.nii.gz"], "label": "../truth/one.nii.gz"},
        "gone": {"images": ["../scans/gone.nii.gz"], "label": "../truth/gone.nii.gz"},
    }
    facts = {"channel_names": {"0": "CT"}, "labels": {"liver": 1}, "dataset": table}
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/dataset.json").write_text(json.dumps(facts))
    dataset = read_dataset(tmp_path / "raw")
    assert [case.id for case in dataset.cases] == ["one"]
    assert len(dataset.orphans) == 2


def test_a_test_case_of_the_same_name_gets_its_split_in_front(tmp_path: Path) -> None:
    nnunet_folder(tmp_path)
    touch(tmp_path / "imagesTs/a_0000.nii.gz")
    touch(tmp_path / "imagesTs/a_0001.nii.gz")
    ids = [case.id for case in read_dataset(tmp_path).cases]
    assert ids == ["a", "b", "t", "test_a"]


def test_regions_that_overlap_in_part_are_refused(tmp_path: Path) -> None:
    root = nnunet_folder(tmp_path, labels={"a": [1, 2], "b": [2, 3]})
    with pytest.raises(DataError) as error:
        read_dataset(root)
    assert str(error.value) == (
        f"{root / 'dataset.json'}: the regions 'a' [1, 2] and 'b' [2, 3] overlap in part, so they "
        "form no tree. Fix: declare them as separate labels."
    )


def test_broken_json_is_named_with_its_line(tmp_path: Path) -> None:
    nnunet_folder(tmp_path)
    (tmp_path / "dataset.json").write_text('{"labels": {"a": 1,}}')
    with pytest.raises(DataError, match=r"dataset\.json: not valid JSON \(.*line 1 column"):
        read_dataset(tmp_path)
