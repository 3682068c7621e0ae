import hashlib
import os
from types import SimpleNamespace

import pytest

from delineate.errors import DataError
from delineate.report.hashes import combined_hash, hash_cases


def case(name, *images, label=None):
    return SimpleNamespace(id=name, images=tuple(map(str, images)), label=label)


def test_a_file_has_the_hash_that_sha256sum_prints(tmp_path):
    scan, mask = tmp_path / "a.nii.gz", tmp_path / "m.nii.gz"
    scan.write_bytes(b"scan")
    mask.write_bytes(b"mask")
    found = hash_cases([case("a", scan, label=str(mask)), case("b", scan)], tmp_path / "memo.json")
    digest = hashlib.sha256(b"scan").hexdigest()
    assert found == {
        "a": {"images": [digest], "label": hashlib.sha256(b"mask").hexdigest()},
        "b": {"images": [digest], "label": None},
    }


def test_items_of_one_file_and_a_dicom_folder_have_a_hash_each(tmp_path):
    file = tmp_path / "all.h5"
    file.write_bytes(b"many")
    series = tmp_path / "series"
    series.mkdir()
    for name in ("2.dcm", "1.dcm"):
        (series / name).write_bytes(name.encode())
    memo = tmp_path / "memo.json"
    found = hash_cases([case("a", f"{file}::images[3]"), case("b", series)], memo)
    assert found["a"]["images"] == [hashlib.sha256(b"many").hexdigest()]
    before = found["b"]["images"]
    (series / "2.dcm").write_bytes(b"other")
    assert hash_cases([case("b", series)], memo)["b"]["images"] != before


def test_a_file_is_read_again_only_when_its_size_or_its_time_of_change_differs(tmp_path):
    scan, memo = tmp_path / "a.nii.gz", tmp_path / "cache" / "memo.json"
    scan.write_bytes(b"scan")
    first = hash_cases([case("a", scan)], memo)
    shown = []

    def show(items, total, description):
        shown.append((total, description))
        return items

    assert hash_cases([case("a", scan)], memo, progress=show) == first
    assert shown == []
    os.utime(scan, ns=(0, 0))
    other = tmp_path / "b.nii.gz"
    other.write_bytes(b"more")
    found = hash_cases([case("a", scan), case("b", other)], memo, progress=show)
    assert found["a"] == first["a"]
    assert shown == [(2, "hashing")]


def test_the_combined_hash_knows_no_order_but_every_byte(tmp_path):
    one, two = {"images": ["aa"], "label": "bb"}, {"images": ["cc"], "label": None}
    assert combined_hash({"x": one, "y": two}) == combined_hash({"y": two, "x": one})
    assert combined_hash({"x": one}) != combined_hash({"x": two})
    assert combined_hash({"x": one}) != combined_hash({"y": one})


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.nii cannot be read \(No such file"):
        hash_cases([case("a", tmp_path / "gone.nii")], tmp_path / "memo.json")
