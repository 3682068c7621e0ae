"""SADAAN's HDF5: items to cases, overlapping labels, presence, splits."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from delineate.datasets import read_dataset
from delineate.errors import DataError

NAMES = ["left_lung", "right_lung", "heart"]


def sadaan(root: Path, *, count: int = 2, structures: int = 3, extra: bool = True) -> Path:
    """train.h5 and val.h5; without `extra` only what cannot be left out."""
    root.mkdir(exist_ok=True)
    for split in ("train", "val"):
        with h5py.File(root / f"{split}.h5", "w") as file:
            file["images"] = np.zeros((count, 4, 4, 2), np.float32)
            file["masks"] = np.zeros((count, structures, 4, 4, 2), bool)
            if extra:
                file["presence_labels"] = np.tile([1, 0, 1], (count, 1))
                file.attrs["n_samples"] = count
    metadata = {"structure_names": NAMES, "image_size": [4, 4, 2]}
    (root / "metadata.json").write_text(json.dumps(metadata))
    return root


def test_each_item_is_a_case_with_its_split_and_presence(tmp_path: Path) -> None:
    dataset = read_dataset(sadaan(tmp_path))
    assert dataset.layout == "hdf5"
    ids = [case.id for case in dataset.cases]
    assert ids == ["train_00000", "train_00001", "val_00000", "val_00001"]
    case = dataset.cases[3]
    assert case.images == (f"{tmp_path}/val.h5::images[1]",)
    assert case.label == f"{tmp_path}/val.h5::masks[1]"
    assert (case.split, case.presence) == ("validation", (1, 0, 1))


def test_structures_overlap_and_sides_are_paired(tmp_path: Path) -> None:
    labels = read_dataset(sadaan(tmp_path)).labels
    assert labels is not None
    assert labels.overlapping
    assert labels.names == tuple(NAMES)
    assert labels.channels == 3
    assert labels.pairs == (("left_lung", "right_lung"),)


def test_missing_attributes_and_presence_are_tolerated(tmp_path: Path) -> None:
    dataset = read_dataset(sadaan(tmp_path, extra=False))
    assert len(dataset.cases) == 4
    assert dataset.cases[0].presence is None


def test_a_wrong_number_of_names_is_refused(tmp_path: Path) -> None:
    sadaan(tmp_path, structures=2)
    with pytest.raises(DataError) as error:
        read_dataset(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}/train.h5: 'masks' has 2 structures, but metadata.json names 3. "
        "Fix: correct 'structure_names'."
    )


def test_lengths_that_disagree_are_refused(tmp_path: Path) -> None:
    sadaan(tmp_path)
    with h5py.File(tmp_path / "val.h5", "a") as file:
        del file["masks"]
        file["masks"] = np.zeros((1, 3, 4, 4, 2), bool)
    with pytest.raises(DataError, match=r"'images' has 2 items but 'masks' has 1\. Fix: write"):
        read_dataset(tmp_path)


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    sadaan(tmp_path)
    data = (tmp_path / "val.h5").read_bytes()
    (tmp_path / "val.h5").write_bytes(data[:300])
    with pytest.raises(DataError, match=r"val\.h5: cannot be read as HDF5 \(.*\)\. Fix: copy it"):
        read_dataset(tmp_path)
