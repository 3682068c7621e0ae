import os
import zipfile
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from delineate.engine.inert_pickle import Storage, StoredTensor
from delineate.engine.torch_file import load_tensors, read_outline
from delineate.errors import DataError

MATRIX = torch.arange(12.0).reshape(3, 4)
TENSORS = {
    "plain": MATRIX,
    "transposed": MATRIX.t(),
    "slice": MATRIX[1:, ::2],
    "long": torch.arange(5),
    "half": torch.tensor([0.5, 1.5], dtype=torch.bfloat16),
    "bool": torch.tensor([True, False]),
    "scalar": torch.tensor(3.0),
    "empty": torch.zeros(0, 2),
    "parameter": nn.Parameter(torch.ones(2)),
    "array": np.arange(3, dtype=np.float32),
}


class Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
def test_tensors_come_out_as_pytorch_gives_them(tmp_path: Path, zipped: bool):
    path = tmp_path / "weights.pt"
    # Tensors that nobody asks for have to be stepped over.
    content = {"other": torch.randn(7, dtype=torch.float64), "state_dict": TENSORS}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    found = load_tensors(path, read_outline(path)["state_dict"])
    for name, tensor in TENSORS.items():
        expected = torch.as_tensor(tensor)
        assert found[name].dtype == expected.dtype, name
        assert torch.equal(found[name], expected), name


def test_newer_types_of_numbers_are_read(tmp_path: Path):
    path = tmp_path / "weights.pt"
    tensor = torch.tensor([1, 65535], dtype=torch.uint16)
    torch.save({"a": tensor}, path)
    assert torch.equal(load_tensors(path, read_outline(path))["a"], tensor)


def test_one_tensor_under_two_names_stays_one(tmp_path: Path):
    path = tmp_path / "weights.pt"
    torch.save({"a": MATRIX, "b": MATRIX}, path)
    found = load_tensors(path, read_outline(path))
    assert found["a"] is found["b"]


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
def test_a_planted_command_does_not_run_and_the_weights_are_read(tmp_path: Path, zipped: bool):
    path, target = tmp_path / "weights.pt", tmp_path / "ran"
    content = {"state_dict": {"a": MATRIX}, "hyper_parameters": Bomb(target)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    outline = read_outline(path)
    assert torch.equal(load_tensors(path, outline["state_dict"])["a"], MATRIX)
    assert not target.exists()
    torch.load(path, weights_only=False)
    assert target.exists(), "the plant is real"


@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [
        ((4,), (1,), 10),
        ((2, 2), (100, 1), 0),
        ((10**9,), (0,), 0),
        ((3,), (-1,), 2),
        ((3,), (1,), -1),
    ],
    ids=["behind", "far", "huge", "backwards", "before"],
)
def test_a_tensor_outside_its_storage_is_refused(tmp_path: Path, size, stride, offset):
    path = tmp_path / "weights.pt"
    torch.save({"a": MATRIX}, path)
    storage = Storage(kind="FloatStorage", key="0")
    wrong = StoredTensor(storage=storage, offset=offset, size=size, stride=stride)
    with pytest.raises(DataError, match=r"not a readable file of torch\.save"):
        load_tensors(path, {"a": wrong})


def test_a_compressed_archive_is_refused(tmp_path: Path):
    plain, packed = tmp_path / "plain.pt", tmp_path / "packed.pt"
    torch.save({"a": MATRIX}, plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(DataError, match="its records are compressed"):
        read_outline(packed)


def test_an_array_under_two_names_stays_one_and_all_are_no_larger_than_the_file(tmp_path: Path):
    path = tmp_path / "weights.pt"
    array = np.ones(5000)
    torch.save({"a": array, "b": array}, path)
    outline = read_outline(path)
    found = load_tensors(path, outline)
    assert found["a"] is found["b"]
    twins = {str(i): copy(outline["a"]) for i in range(3)}
    with pytest.raises(DataError, match="its arrays are larger than the file"):
        load_tensors(path, twins)


def test_types_that_no_weight_has_are_refused(tmp_path: Path):
    path = tmp_path / "weights.pt"
    torch.save({"a": torch.zeros(4, dtype=torch.uint16)}, path)
    (tensor,) = read_outline(path).values()
    with pytest.raises(DataError, match=r"of the type torch.bits8 are not understood"):
        load_tensors(path, {"a": replace(tensor, kind="torch.bits8")})


def test_a_file_of_something_else_says_so(tmp_path: Path):
    path = tmp_path / "weights.pt"
    path.write_bytes(b"not weights at all")
    with pytest.raises(DataError, match=r"weights.pt: not a readable file of torch.save"):
        read_outline(path)
