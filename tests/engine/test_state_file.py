import math

import pytest
import torch

from delineate.engine.state_file import Snapshot, read_state
from delineate.errors import DataError

TREE = {
    "weights": {"a.b": torch.randn(3, 4), "half": torch.randn(5).bfloat16()},
    "state": {0: {"step": torch.tensor(7.0), "betas": (0.9, 0.999)}, 1: {}},
    "flags": torch.tensor([True, False]),
    "empty": torch.zeros(0, 3),
    "list": [1, None, "x", True, {"$odd": 0.1}],
    "best": -math.inf,
}


def write(path, tree):
    copy = Snapshot()
    copy.take(tree)
    copy.write(path)


def same(one, other):
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and all(map(same, one, other)) and len(one) == len(other)
    return one == other and type(one) is type(other)


def test_a_tree_comes_back_with_its_types_and_bits(tmp_path):
    write(tmp_path / "s.safetensors", TREE)
    assert same(TREE, read_state(tmp_path / "s.safetensors"))
    assert [path.name for path in tmp_path.iterdir()] == ["s.safetensors"]


def test_a_transposed_and_a_shared_tensor_are_written_by_value(tmp_path):
    turned = torch.arange(6.0).reshape(2, 3).t()
    write(tmp_path / "s", {"one": turned, "two": turned[:, 0]})
    assert same({"one": turned, "two": turned[:, 0]}, read_state(tmp_path / "s"))


def test_what_changes_after_the_copy_is_not_in_it(tmp_path):
    copy, weights = Snapshot(), torch.zeros(3)
    copy.take({"w": weights, "old": torch.ones(1)})
    copy.take({"w": weights})
    weights += 1
    copy.write(tmp_path / "s")
    assert same({"w": torch.zeros(3)}, read_state(tmp_path / "s"))


def test_a_value_that_is_not_plain_is_named():
    with pytest.raises(TypeError, match=r"/callback/1: a state has tensors and plain .* not a set"):
        Snapshot().take({"callback": [1, {2}]})


@pytest.mark.parametrize("place", [0, 3, 12, 40, 300, -3, -60])
def test_a_changed_byte_is_noticed(tmp_path, place):
    path = tmp_path / "s.safetensors"
    write(path, TREE)
    data = bytearray(path.read_bytes())
    data[place] ^= 16
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"s.safetensors: (not a whole file|the checksum is wrong)"):
        read_state(path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_file_that_was_cut_short_is_noticed(tmp_path, share):
    path = tmp_path / "s.safetensors"
    write(path, TREE)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(DataError, match="not a whole file of state"):
        read_state(path)
