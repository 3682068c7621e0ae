import io
import os
import pickle
import sys
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest

from delineate.engine.inert_array import is_array, to_array
from delineate.engine.inert_pickle import Inert, read_pickle

PLAIN = {
    "text": "Gr\u00fc\u00dfe",
    "numbers": [0, -1, 255, 70000, 2**40, -(2**70), 1.5, True, False, None],
    "bytes": b"\x00\xff",
    "nested": ({"a": [(1, 2), (1, 2, 3, 4)]}, {1, 2}, frozenset({"x"}), ()),
}


class Bomb:
    """Runs a command of the shell when pickle reads it."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


class Thing:
    def __init__(self) -> None:
        self.size = 3


class Named(dict):
    pass


def read(value: object, protocol: int = 2):
    return read_pickle(io.BytesIO(pickle.dumps(value, protocol)))


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_comes_out_as_pickle_itself_gives_it(protocol: int):
    assert read(PLAIN, protocol) == PLAIN


@pytest.mark.parametrize("protocol", range(6))
def test_a_value_met_twice_is_one_value(protocol: int):
    inner = [1]
    found = read([inner, inner], protocol)
    assert found[0] is found[1]


@pytest.mark.parametrize("protocol", range(2, 6))
def test_dictionaries_of_the_standard_library_become_plain_ones(protocol: int):
    kinds = [OrderedDict(a=1), Counter("aab"), defaultdict(list, {"k": [1]})]
    assert read(kinds, protocol) == [{"a": 1}, {"a": 2, "b": 1}, {"k": [1]}]


@pytest.mark.parametrize("protocol", range(6))
def test_a_planted_command_does_not_run(tmp_path: Path, protocol: int):
    target = tmp_path / "ran"
    data = pickle.dumps({"weights": 1, "bomb": Bomb(target)}, protocol)
    found = read_pickle(io.BytesIO(data))
    assert found["weights"] == 1
    assert found["bomb"].name.rpartition(".")[2] == "system"
    assert found["bomb"].arguments == (f"touch {target}",)
    assert not target.exists()
    # The plant is real: Python's own reader runs it.
    pickle.loads(data)
    assert target.exists()


def test_the_old_instructions_for_objects_run_nothing_either(tmp_path: Path):
    target = tmp_path / "ran"
    command = f"touch {target}"
    for data, name in (
        (f"(S'{command}'\nios\nsystem\n.", "os.system"),
        (f"(cos\nsystem\nS'{command}'\no.", "os.system"),
        (f"cbuiltins\ngetattr\n(cos\npath\nS'x'\ntR(S'{command}'\ntR.", "builtins.getattr"),
    ):
        found = read_pickle(io.BytesIO(data.encode()))
        assert isinstance(found, Inert)
        assert (found.name, found.arguments) == (name, (command,))
    assert not target.exists()


def copies(count: int) -> bytes:
    """A list of a thousand values, and so many calls of `list` on it."""
    values = b"(" + b"N" * 1000 + b"lq\x00"
    return b"cbuiltins\nlist\nq\x010(" + values + b"h\x01h\x00\x85R" * count + b"l."


@pytest.mark.parametrize(
    "data",
    [
        b"\x8c\x01aq\x000" + b"h\x00h\x00\x93q\x000" * 40 + b"h\x00.",
        b"K\x01q\x000" + b"h\x00h\x00\x86q\x000" * 40 + b"(h\x00Nd.",
        b"K\x01q\x000" + b"h\x00h\x00\x86q\x000" * 40 + b"(h\x00\x91.",
        b"K\x01q\x000" + b"h\x00h\x00\x86q\x000" * 40 + b"h\x00Q.",
        copies(100),
    ],
    ids=["names", "keys", "members", "references", "copies"],
)
def test_a_short_pickle_cannot_grow_without_bound(data: bytes):
    with pytest.raises(ValueError, match=r"name|nested|understood|makes more than it holds"):
        read_pickle(io.BytesIO(data))
    assert len(read_pickle(io.BytesIO(copies(1)))) == 2


def test_no_module_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "planted_module.py").write_text("raise SystemExit")
    monkeypatch.syspath_prepend(tmp_path)
    found = read_pickle(io.BytesIO(b"cplanted_module\nthing\n."))
    assert found.name == "planted_module.thing"
    assert found.arguments is None
    assert "planted_module" not in sys.modules


@pytest.mark.parametrize("protocol", range(6))
def test_an_object_becomes_its_name_and_its_state(protocol: int):
    found = read(Thing(), protocol)
    assert found.name.endswith("Thing")
    assert found.state == {"size": 3}


def test_a_subclass_of_a_dictionary_keeps_its_items():
    found = read(Named(a=1))
    assert found.name.endswith("Named")
    assert found.items == {"a": 1}


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype="<f4").reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=">i2").reshape(2, 3)),
        np.zeros((0, 3), bool),
    ],
    ids=["float32", "big-endian", "empty"],
)
def test_arrays_of_numbers_come_out_as_numpy_gives_them(array: np.ndarray, protocol: int):
    found = read(array, protocol)
    assert is_array(found)
    assert to_array(found).dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(to_array(found), array)


def test_arrays_of_objects_are_refused():
    found = read(np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="an array of objects"):
        to_array(found)


def test_the_bare_name_of_what_makes_arrays_is_none():
    assert not is_array(read_pickle(io.BytesIO(b"cnumpy.core.numeric\n_frombuffer\n.")))


@pytest.mark.parametrize("cut", [0, 1, 10, -1])
def test_a_cut_pickle_is_a_value_error(cut: int):
    with pytest.raises(ValueError, match=r"."):
        read_pickle(io.BytesIO(pickle.dumps(PLAIN, 2)[:cut]))
