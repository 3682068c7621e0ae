"""HDF5MedicalDataset: the documented item, lazily, in any process."""

import json
import multiprocessing
import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from delineate.errors import DataError
from delineate.systems.sadaan.dataset import HDF5MedicalDataset

SHAPE = (4, 5, 3)


@pytest.fixture
def stored() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "images": rng.uniform(0, 255, (3, *SHAPE)).astype(np.float32),
        "masks": rng.random((3, 2, *SHAPE)) > 0.5,
        "presence_labels": np.array([[1, 0], [1, 1], [0, 0]]),
    }


def write(root: Path, stored: dict[str, np.ndarray], *, split: str = "train", **more: Any) -> Path:
    root.mkdir(exist_ok=True)
    (root / "metadata.json").write_text(json.dumps({"structure_names": ["liver", "spleen"]}))
    with h5py.File(root / f"{split}.h5", "w") as file:
        for name, values in {**stored, **more}.items():
            file[name] = values
    return root


def test_an_item_is_what_the_file_holds(tmp_path: Path, stored: dict[str, np.ndarray]) -> None:
    root = write(tmp_path / "set", stored, scenarios=["complete", "sp\u00e4t", "nothing"])
    samples = HDF5MedicalDataset(root, split="train")
    assert (len(samples), samples.structure_names) == (3, ("liver", "spleen"))
    item = samples[1]
    assert list(item) == ["image", "masks", "presence", "scenario", "index"]
    np.testing.assert_array_equal(item["image"], stored["images"][1][None])
    np.testing.assert_array_equal(item["masks"], stored["masks"][1])
    assert item["image"].dtype == item["masks"].dtype == torch.float32
    assert item["presence"].tolist() == [1, 1]
    assert item["presence"].dtype == torch.int64
    assert (item["scenario"], item["index"]) == ("sp\u00e4t", 1)
    assert samples[-1]["index"] == 2
    with pytest.raises(IndexError):
        samples[3]
    assert [entry["index"] for entry in samples] == [0, 1, 2]


def test_images_may_have_a_channel_axis(tmp_path: Path, stored: dict[str, np.ndarray]) -> None:
    stored["images"] = np.repeat(stored["images"][:, None], 2, axis=1)
    item = HDF5MedicalDataset(write(tmp_path / "set", stored))[2]
    np.testing.assert_array_equal(item["image"], stored["images"][2])


def test_what_is_not_said_is_read_off_the_masks(
    tmp_path: Path, stored: dict[str, np.ndarray]
) -> None:
    del stored["presence_labels"]
    stored["masks"][0, 1] = False
    item = HDF5MedicalDataset(write(tmp_path / "set", stored))[0]
    assert item["presence"].tolist() == [1, 0]
    assert item["scenario"] == ""


def _means(samples: HDF5MedicalDataset) -> list[float]:
    return [float(samples[i]["image"].mean()) for i in range(len(samples))]


def _send(samples: HDF5MedicalDataset, pipe: Any) -> None:
    pipe.send(_means(samples))


@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_a_process_opens_the_file_for_itself(
    tmp_path: Path, stored: dict[str, np.ndarray], way: str
) -> None:
    samples = HDF5MedicalDataset(write(tmp_path / "set", stored))
    expected = _means(samples)  # the parent has the file open by now
    mine, theirs = multiprocessing.Pipe()
    worker = multiprocessing.get_context(way).Process(target=_send, args=(samples, theirs))
    worker.start()
    assert mine.poll(300)
    assert mine.recv() == expected
    worker.join(300)
    assert worker.exitcode == 0
    assert _means(samples) == expected


def test_a_loader_stacks_and_pickling_keeps_no_handle(
    tmp_path: Path, stored: dict[str, np.ndarray]
) -> None:
    samples = HDF5MedicalDataset(write(tmp_path / "set", stored))
    _means(samples)
    copy = pickle.loads(pickle.dumps(samples))
    batch = next(iter(DataLoader(copy, batch_size=3)))
    np.testing.assert_array_equal(batch["image"], stored["images"][:, None])
    assert batch["masks"].shape == (3, 2, *SHAPE)
    assert batch["scenario"] == [""] * 3


def test_only_the_item_that_is_asked_for_is_read(
    tmp_path: Path, stored: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    from delineate.io import hdf5

    asked: list[str] = []
    read = hdf5.read
    monkeypatch.setattr(hdf5, "read", lambda place: asked.append(place) or read(place))
    samples = HDF5MedicalDataset(write(tmp_path / "set", stored))
    assert asked == []
    samples[2]
    assert [place.rpartition("::")[2] for place in asked] == ["masks[2]", "images[2]"]


def test_what_is_missing_is_named(tmp_path: Path, stored: dict[str, np.ndarray]) -> None:
    root = write(tmp_path / "set", stored)
    with pytest.raises(DataError) as error:
        HDF5MedicalDataset(root, "test")
    assert str(error.value) == (
        f"{root}: no test.h5, but train.h5. Fix: give the folder of the data set."
    )
    with pytest.raises(DataError, match=r"split 'tset' is unknown\. Fix: use train, val or test\."):
        HDF5MedicalDataset(root, "tset")
    with pytest.raises(DataError, match=r"none: no such folder\. Fix: give the folder"):
        HDF5MedicalDataset(tmp_path / "none")
    del stored["masks"]
    with pytest.raises(DataError, match=r"has no data set 'masks'\. Fix: write it"):
        HDF5MedicalDataset(write(tmp_path / "bare", stored))


def test_presence_must_fit_the_masks(tmp_path: Path, stored: dict[str, np.ndarray]) -> None:
    stored["presence_labels"] = stored["presence_labels"][:, :1]
    with pytest.raises(
        DataError, match=r"'presence_labels' is \(3, 1\), but there are 3 items of 2"
    ):
        HDF5MedicalDataset(write(tmp_path / "set", stored))
