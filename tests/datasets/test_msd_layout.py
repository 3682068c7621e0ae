"""The Decathlon: what dataset.json lists."""

import json
from pathlib import Path

import pytest

from delineate.datasets import read_dataset
from delineate.errors import DataError


def msd_folder(root: Path, names: tuple[str, ...] = ("a", "b", "c")) -> Path:
    """Cases that are listed and there, and one test image."""
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True)
        for name in names:
            (root / folder / f"{name}.nii.gz").touch()
    (root / "imagesTs").mkdir()
    (root / "imagesTs/t.nii.gz").touch()
    listed = [
        {"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"}
        for name in ("._a", *names)
    ]
    facts = {
        "modality": {"0": "FLAIR", "1": "T1w"},
        "labels": {"0": "background", "1": "edema"},
        "training": listed,
        "test": ["./imagesTs/t.nii.gz"],
    }
    (root / "dataset.json").write_text(json.dumps(facts))
    return root


def test_listed_pairs_become_cases_and_dot_files_do_not(tmp_path: Path) -> None:
    dataset = read_dataset(msd_folder(tmp_path))
    assert dataset.layout == "msd"
    assert [case.id for case in dataset.cases] == ["a", "b", "c", "t"]
    assert dataset.cases[0].images == (str(tmp_path / "imagesTr/a.nii.gz"),)
    assert dataset.cases[3].split == "test"
    assert dataset.channels == ("FLAIR", "T1w")
    assert dataset.labels is not None
    assert dataset.labels.names == ("edema",)
    assert dataset.orphans == ()


def test_half_pairs_are_kept_or_left_over_but_never_an_error(tmp_path: Path) -> None:
    msd_folder(tmp_path)
    (tmp_path / "labelsTr/a.nii.gz").unlink()
    (tmp_path / "imagesTr/b.nii.gz").unlink()
    dataset = read_dataset(tmp_path)
    assert [case.id for case in dataset.cases] == ["a", "c", "t"]
    assert dataset.cases[0].label is None
    assert [Path(path).parent.name for path in dataset.orphans] == ["imagesTr", "labelsTr"]


def test_an_entry_without_an_image_is_named(tmp_path: Path) -> None:
    msd_folder(tmp_path)
    facts = json.loads((tmp_path / "dataset.json").read_text())
    facts["training"].append({"label": "x.nii.gz"})
    (tmp_path / "dataset.json").write_text(json.dumps(facts))
    with pytest.raises(DataError) as error:
        read_dataset(tmp_path)
    assert str(error.value) == (
        f"{tmp_path / 'dataset.json'}: 'training' holds {{'label': 'x.nii.gz'}}. "
        "Fix: give each entry an 'image' and a 'label' path."
    )


def test_the_real_hippocampus_set_is_read(real_data: Path) -> None:
    dataset = read_dataset(real_data / "Task04_Hippocampus")
    assert (dataset.layout, len(dataset.cases), dataset.channels) == ("msd", 208, ("MRI",))
    assert dataset.labels is not None
    assert dataset.labels.names == ("Anterior", "Posterior")
    assert all(case.label is not None for case in dataset.cases)
    assert dataset.orphans == ()
