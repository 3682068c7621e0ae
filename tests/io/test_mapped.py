import os
import shutil

import numpy as np
import pytest

from delineate.errors import DataError
from delineate.io.mapped import MappedArray


def test_what_is_written_stays_after_its_memory_is_given_back(tmp_path, monkeypatch):
    monkeypatch.setattr("delineate.io.mapped.PIECE", 1000)
    mapped = MappedArray.nameless((3, 50, 40), np.float32, folder=tmp_path)
    assert not mapped.array.any()
    values = np.random.default_rng(0).random((3, 50, 40), np.float32)
    mapped.write((slice(0, 50), slice(0, 40)), values)
    np.testing.assert_array_equal(mapped.array, values)
    part = mapped.read((slice(7, 30), slice(5, 6)))
    np.testing.assert_array_equal(part, values[:, 7:30, 5:6])
    assert list(tmp_path.iterdir()) == []


def test_an_array_lies_behind_what_the_file_begins_with(tmp_path):
    with (tmp_path / "x").open("w+b") as file:
        file.write(b"head")
        mapped = MappedArray(file, (2, 3), np.dtype("<u2"), offset=4)
    mapped.array[1, 2] = 7
    mapped.save()
    found = (tmp_path / "x").read_bytes()
    assert found[:4] == b"head"
    assert np.frombuffer(found, "<u2", offset=4).tolist() == [0, 0, 0, 0, 0, 7]


def test_an_empty_array_is_no_error():
    assert MappedArray.nameless((0, 4), np.uint8).array.shape == (0, 4)


@pytest.mark.skipif(not hasattr(os, "fstatvfs"), reason="the system does not say what is free")
def test_a_disk_without_room_is_named_before_anything_is_written(tmp_path):
    wanted = shutil.disk_usage(tmp_path).free + (1 << 34)
    with pytest.raises(DataError, match=r"need [0-9.]+ GB on the disk, but [0-9.]+ GB are free"):
        MappedArray.nameless((1, wanted), np.uint8, folder=tmp_path)
