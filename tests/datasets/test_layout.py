"""Which layout a folder is, who the patient is, and what is said where neither can be told."""

import json
from pathlib import Path

import pytest

from delineate.datasets import LAYOUTS, read_dataset
from delineate.errors import DataError
from delineate.labels import Labels


def pictures(root: Path, *names: str) -> Path:
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for name in names:
            (root / folder / f"{name}.png").touch()
    return root


def test_an_unknown_folder_says_what_was_looked_for_and_found(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").touch()
    (tmp_path / "stuff").mkdir()
    with pytest.raises(DataError) as error:
        read_dataset(tmp_path)
    lines = str(error.value).splitlines()
    assert lines[0] == f"{tmp_path}: no known layout. Looked for"
    assert [line.split(":")[0].strip() for line in lines[1 : 1 + len(LAYOUTS)]] == list(LAYOUTS)
    assert lines[-2] == "  Found: readme.txt, stuff/."
    assert lines[-1] == (
        "  Fix: list the files in cases.csv (columns image, label), or name a layout, "
        "as in data.layout=folders."
    )


def test_a_data_set_one_folder_further_down_is_pointed_at(tmp_path: Path) -> None:
    inner = tmp_path / "Task01"
    (inner / "imagesTr").mkdir(parents=True)
    (inner / "imagesTr/a.nii.gz").touch()
    facts = {"training": [{"image": "imagesTr/a.nii.gz", "label": "b.nii.gz"}]}
    (inner / "dataset.json").write_text(json.dumps(facts))
    with pytest.raises(DataError, match="But Task01/ is layout 'msd': give that folder"):
        read_dataset(tmp_path)


def test_a_folder_that_could_be_two_layouts_must_be_named(tmp_path: Path) -> None:
    pictures(tmp_path, "a")
    (tmp_path / "cases.csv").write_text("image,label\nimages/a.png,masks/a.png\n")
    person = tmp_path / "sub-1/anat"
    person.mkdir(parents=True)
    (person / "sub-1_T1w.nii.gz").touch()
    (person / "sub-1_T1w_seg.nii.gz").touch()
    with pytest.raises(DataError) as error:
        read_dataset(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: could be layout bids or table. Fix: name it, as in data.layout=bids."
    )
    assert read_dataset(tmp_path, layout="table").layout == "table"


def test_a_declared_list_wins_over_folder_names(tmp_path: Path) -> None:
    pictures(tmp_path, "a", "b")
    (tmp_path / "cases.csv").write_text("image,label\nimages/a.png,masks/a.png\n")
    assert len(read_dataset(tmp_path).cases) == 1
    assert len(read_dataset(tmp_path, layout="folders").cases) == 2


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (
            "nnunett",
            "layout: 'nnunett' is unknown. Did you mean nnunet? Fix: use auto, nnunet, msd,",
        ),
        (
            "bids:maks=a",
            "layout: 'maks=a' is no option of bids. Known options: mask=..., channels=",
        ),
        ("msd:x", "layout: 'x' is no option of msd. Known options: none."),
    ],
)
def test_a_misspelt_layout_is_answered(tmp_path: Path, layout: str, message: str) -> None:
    with pytest.raises(DataError) as error:
        read_dataset(tmp_path, layout=layout)
    assert str(error.value).startswith(message)


def test_a_missing_folder_and_one_without_cases_are_named(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    with pytest.raises(DataError) as error:
        read_dataset(gone)
    assert str(error.value) == (
        f"{gone}: no such folder. Fix: give the folder that holds the scans."
    )
    with pytest.raises(DataError, match=r"no case was found as layout 'folders'.* an empty folder"):
        read_dataset(tmp_path, layout="folders")


@pytest.mark.parametrize("layout", ["nnunet", "msd"])
def test_a_named_layout_without_its_description_says_so(tmp_path: Path, layout: str) -> None:
    with pytest.raises(DataError) as error:
        read_dataset(pictures(tmp_path, "a"), layout=layout)
    assert str(error.value) == (
        f"{tmp_path / 'dataset.json'}: no such file. Fix: give the folder that holds dataset.json."
    )


@pytest.mark.parametrize("layout", ["folders", "bids", "hdf5"])
def test_a_file_is_no_folder(tmp_path: Path, layout: str) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(DataError) as error:
        read_dataset(tmp_path / "a.png", layout=layout)
    assert str(error.value) == (
        f"{tmp_path / 'a.png'}: a file, but layout '{layout}' is a folder. Fix: give the folder."
    )


def test_a_description_that_is_no_object_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text("[]")
    with pytest.raises(DataError) as error:
        read_dataset(tmp_path, layout="msd")
    assert str(error.value) == (
        f"{tmp_path / 'dataset.json'}: holds a list. Fix: write an object, {{...}}."
    )


def test_the_patient_is_the_first_group_of_a_regex(tmp_path: Path) -> None:
    dataset = read_dataset(pictures(tmp_path, "p1_a", "p1_b", "p2_a"), group=r"(p\d+)_")
    assert [case.group for case in dataset.cases] == ["p1", "p1", "p2"]


@pytest.mark.parametrize(
    ("group", "message"),
    [
        (
            "p[0-9]+",
            "group: 'p[0-9]+' has no (group) that is the patient, and is no column of a table. "
            "Fix: put brackets around it, as in '(sub-[^_]+)'.",
        ),
        (
            "(q[0-9]+)",
            "group: '(q[0-9]+)' does not match 2 of 2 case ids, such as 'p1'. "
            "Fix: write a regex that finds the patient in every id.",
        ),
    ],
)
def test_a_regex_that_finds_no_patient_is_refused(tmp_path: Path, group: str, message: str) -> None:
    with pytest.raises(DataError) as error:
        read_dataset(pictures(tmp_path, "p1", "p2"), group=group)
    assert str(error.value) == message


def test_a_broken_regex_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"group: '\(p' is no regex \(.*\)\."):
        read_dataset(pictures(tmp_path, "p1"), group="(p")


def test_labels_given_replace_those_declared(tmp_path: Path) -> None:
    labels = Labels.from_names({"cell": 255})
    assert read_dataset(pictures(tmp_path, "a"), labels=labels).labels is labels
    assert read_dataset(tmp_path).labels is None


def test_reading_changes_nothing_and_opens_no_image(tmp_path: Path) -> None:
    pictures(tmp_path, "a", "b")
    before = sorted((p, p.stat().st_mtime_ns) for p in tmp_path.rglob("*"))
    read_dataset(tmp_path)
    assert sorted((p, p.stat().st_mtime_ns) for p in tmp_path.rglob("*")) == before
