"""Tables of files: columns to channels, labels, patients, splits and presence."""

import json
from pathlib import Path

import pytest

from delineate.datasets import read_dataset
from delineate.errors import DataError


def write(root: Path, name: str, text: str) -> Path:
    """A table, and every file that is named in it as x/..."""
    (root / "x").mkdir(exist_ok=True)
    for word in text.replace('"', ",").replace(";", ",").replace("\n", ",").split(","):
        if word.strip().startswith("x/"):
            (root / word.strip()).touch()
    (root / name).write_text(text)
    return root / name


def test_a_table_in_the_folder_is_found_and_paths_are_relative_to_it(tmp_path: Path) -> None:
    text = (
        "id,image,label,patient,split\none,x/1.nii.gz,x/1s.nii.gz,p,train\ntwo,x/2.nii.gz,,p,val\n"
    )
    write(tmp_path, "cases.csv", text)
    dataset = read_dataset(tmp_path)
    one, two = dataset.cases
    assert (dataset.layout, dataset.channels, dataset.root) == ("table", ("image",), tmp_path)
    assert one.images == (str(tmp_path / "x/1.nii.gz"),)
    assert (one.id, one.group, one.split) == ("one", "p", "train")
    assert (two.label, two.split) == (None, "validation")


def test_the_table_itself_may_be_given_and_semicolons_and_marks_are_read(tmp_path: Path) -> None:
    table = write(tmp_path, "any.csv", "\ufeffimage_0;image_1;mask\nx/a.mha;x/b.mha;x/c.mha\n")
    dataset = read_dataset(table)
    assert dataset.channels == ("image_0", "image_1")
    assert dataset.cases[0].id == "a"
    assert dataset.root == tmp_path


def test_a_column_per_channel_is_told_by_its_files(tmp_path: Path) -> None:
    table = write(tmp_path, "t.csv", "T1,age,T2,label\nx/a.nii,61,x/b.nii,x/c.nii\n")
    assert read_dataset(table).channels == ("T1", "T2")


def test_json_may_declare_labels_and_presence_follows_their_order(tmp_path: Path) -> None:
    row = {"image": "x/a.png", "label": "x/b.png", "presence_cell": "0", "presence_nucleus": 1}
    data = {"labels": {"nucleus": 2, "cell": 1}, "cases": [row]}
    dataset = read_dataset(write(tmp_path, "cases.json", json.dumps(data)))
    assert dataset.labels is not None
    assert dataset.labels.names == ("nucleus", "cell")
    assert dataset.cases[0].presence == (1, 0)


def test_the_case_list_of_a_run_is_a_table(tmp_path: Path) -> None:
    row = {"id": "a", "images": ["x/a.nii", "x/b.nii"], "label": "x/c.nii"}
    data = {"training": [row], "validation": [row | {"id": "b"}]}
    dataset = read_dataset(write(tmp_path, "cases.json", json.dumps(data)))
    assert [(case.id, case.split) for case in dataset.cases] == [
        ("a", "train"),
        ("b", "validation"),
    ]
    assert dataset.channels == ("image_0", "image_1")


def test_items_of_hdf5_files_and_series_folders_can_be_listed(tmp_path: Path) -> None:
    (tmp_path / "t.h5").touch()
    (tmp_path / "series").mkdir()
    text = "id,image,label\na,t.h5::images[3],t.h5::masks[3]\nb,series,\n"
    table = write(tmp_path, "cases.csv", text)
    dataset = read_dataset(table)
    assert dataset.cases[0].label == f"{tmp_path}/t.h5::masks[3]"
    assert dataset.cases[1].images == (str(tmp_path / "series"),)


def test_any_column_can_name_the_patient(tmp_path: Path) -> None:
    text = "image,label,site\nx/a.nii,x/a_.nii,north\nx/b.nii,x/b_.nii,south\n"
    table = write(tmp_path, "cases.csv", text)
    assert [c.group for c in read_dataset(table, group="site").cases] == ["north", "south"]
    assert [c.group for c in read_dataset(table).cases] == ["a", "b"]


def test_absent_files_are_left_over_or_no_label(tmp_path: Path) -> None:
    table = write(tmp_path, "cases.csv", "image,label\nx/a.nii,gone.nii\ngone.nii,x/b.nii\n")
    dataset = read_dataset(table)
    assert [(case.id, case.label) for case in dataset.cases] == [("a", None)]
    assert dataset.orphans == (str(tmp_path / "gone.nii"), str(tmp_path / "x/b.nii"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,label,split\nx/a.nii,x/b.nii,dev\n", "case 'a': the split 'dev' is unknown. Fix:"),
        ("scan,label\n7,x/b.nii\n", "no column lists images. Fix: name the column 'image'"),
        (
            "image_0,image_1,label\nx/a.nii,,x/b.nii\n",
            "row 1 has no 'image_1'. Fix: give its path.",
        ),
        ("image,label,presence_a\nx/a.nii,x/b.nii,yes\n", "presence_a = 'yes'. Fix: write 0 or 1."),
    ],
)
def test_what_is_wrong_in_a_table_is_named(tmp_path: Path, text: str, message: str) -> None:
    table = write(tmp_path, "cases.csv", text)
    with pytest.raises(DataError) as error:
        read_dataset(table)
    assert str(error.value).startswith(str(table))
    assert message in str(error.value)


def test_a_table_of_class_names_is_no_list_of_masks(tmp_path: Path) -> None:
    write(tmp_path, "classes.csv", "image,label\nx/a.png,cat\n")
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").touch()
    assert read_dataset(tmp_path).layout == "folders"


def test_two_tables_in_a_folder_must_be_chosen_from(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        write(tmp_path, name, "image,label\nx/a.nii,x/b.nii\n")
    with pytest.raises(
        DataError, match=r"was looked for, found: a\.csv, b\.csv\. Fix: give the path"
    ):
        read_dataset(tmp_path)
