"""Archives are unpacked under a limit, and refused whole where one member is not honest."""

import errno
import gzip
import io
import zipfile

import pytest

from delineate.serve import unpack
from delineate.serve.refusal import Refusal
from delineate.serve.unpack import gunzip, unzip_series

SLICE = bytes(128) + b"DICM" + b"pixels"


def archive(path, members, **options):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as file:
        for name, data in members:
            file.writestr(name, data)
    return path


def refused(call, *args, **limits):
    with pytest.raises(Refusal) as caught:
        call(*args, **limits)
    return caught.value.status, caught.value.error


def test_gzip_of_one_or_several_members_comes_out_whole(tmp_path):
    packed = tmp_path / "a"
    packed.write_bytes(gzip.compress(b"one") + gzip.compress(b"two"))
    gunzip(packed, tmp_path / "b", max_bytes=6)
    assert (tmp_path / "b").read_bytes() == b"onetwo"


def test_a_gzip_bomb_is_stopped_at_the_limit(tmp_path):
    packed = tmp_path / "a"
    packed.write_bytes(gzip.compress(bytes(50_000_000)))
    told = refused(gunzip, packed, tmp_path / "b", max_bytes=2_000_000)
    assert told == (413, "the scan, once unpacked, is larger than 2 MB.")
    assert (tmp_path / "b").stat().st_size <= 2_000_000


@pytest.mark.parametrize(
    "data",
    [b"\x1f\x8bnonsense" + bytes(50), gzip.compress(bytes(9999))[:-6]],
    ids=["nonsense", "cut short"],
)
def test_a_broken_gzip_is_the_clients_fault(tmp_path, data):
    packed = tmp_path / "a"
    packed.write_bytes(data)
    status, error = refused(gunzip, packed, tmp_path / "b", max_bytes=10**6)
    assert (status, error[:26]) == (400, "the gzip stream is broken ")


def test_a_series_comes_out_under_numbers_and_what_is_no_dicom_is_left_out(tmp_path):
    packed = archive(
        tmp_path / "a", [("DOE^JANE/IM1", SLICE), ("licence.txt", b"free"), ("b/IM1", SLICE)]
    )
    unzip_series(packed, tmp_path / "out", max_bytes=10**6)
    found = sorted((tmp_path / "out").iterdir())
    assert [file.name for file in found] == ["00000.dcm", "00002.dcm"]
    assert {file.read_bytes() for file in found} == {SLICE}


@pytest.mark.parametrize(
    "name",
    ["../evil", "a/../../evil", "/etc/cron.d/evil", "..\\evil", "C:\\evil", "\\\\host\\evil"],
)
def test_a_name_that_climbs_out_is_refused_and_nothing_is_written(tmp_path, name):
    packed = archive(tmp_path / "a", [("IM0", SLICE), (name, SLICE)])
    told = refused(unzip_series, packed, tmp_path / "out", max_bytes=10**6)
    assert told == (400, "the zip holds a name that leads out of the archive.")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a", "out"]


def test_links_and_passwords_are_refused(tmp_path):
    link = zipfile.ZipInfo("IM0")
    link.external_attr = 0o120777 << 16
    packed = archive(tmp_path / "a", [(link, b"/etc/passwd")])
    told = refused(unzip_series, packed, tmp_path / "out", max_bytes=10**6)
    assert told == (400, "the zip holds a symbolic link.")
    data = bytearray(archive(tmp_path / "b", [("IM0", SLICE)]).read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "b").write_bytes(data)
    told = refused(unzip_series, tmp_path / "b", tmp_path / "out2", max_bytes=10**6)
    assert told == (400, "the zip holds a file with a password.")


def test_a_zip_bomb_is_stopped_at_the_limit_whatever_its_header_says(tmp_path):
    packed = archive(tmp_path / "a", [(f"IM{i}", SLICE + bytes(900_000)) for i in range(5)])
    told = refused(unzip_series, packed, tmp_path / "out", max_bytes=2_000_000)
    assert told == (413, "the scan, once unpacked, is larger than 2 MB.")
    assert sum(file.stat().st_size for file in (tmp_path / "out").iterdir()) <= 2_000_000


def test_an_archive_of_too_many_files_is_refused_before_they_are_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(unpack, "_MAX_FILES", 3)
    packed = archive(tmp_path / "a", [("x" * 1000 + str(i), b"") for i in range(4)])
    told = refused(unzip_series, packed, tmp_path / "out", max_bytes=10**6)
    assert told == (413, "the zip holds more than 3 files.")


def test_the_directory_of_a_large_archive_is_measured_too(tmp_path, monkeypatch):
    """A zip64 record, as archives over 4 GB have it, here by hand."""
    monkeypatch.setattr(unpack, "_MAX_FILES", 3)
    packed = archive(tmp_path / "a", [("IM0", SLICE)])
    data = packed.read_bytes()
    end = data.index(b"PK\x05\x06")
    record = b"PK\x06\x06" + bytes(36) + (10**6).to_bytes(8, "little") + bytes(8)
    packed.write_bytes(data[:end] + record + b"PK\x06\x07" + bytes(16) + data[end:])
    told = refused(unzip_series, packed, tmp_path / "out", max_bytes=10**6)
    assert told == (413, "the zip holds more than 3 files.")


@pytest.mark.parametrize("data", [b"PK\x03\x04 and no more", b""])
def test_a_broken_zip_is_the_clients_fault(tmp_path, data):
    (tmp_path / "a").write_bytes(data)
    status, error = refused(unzip_series, tmp_path / "a", tmp_path / "out", max_bytes=10**6)
    assert (status, error[:18]) == (400, "the zip is broken ")


def test_a_full_disk_is_no_fault_of_the_zip(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(unpack, "_copy", full)
    packed = archive(tmp_path / "a", [("IM0", SLICE)])
    with pytest.raises(OSError, match="No space left"):
        unzip_series(packed, tmp_path / "out", max_bytes=10**6)


def test_an_archive_without_a_scan_says_so(tmp_path):
    packed = archive(tmp_path / "a", [("notes.txt", b"hello")])
    told = refused(unzip_series, packed, tmp_path / "out", max_bytes=10**6)
    assert told == (400, "the zip holds no DICOM file.")


def test_a_zip_within_a_zip_is_not_opened(tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as file:
        file.writestr("IM0", SLICE)
    packed = archive(tmp_path / "a", [("inner.zip", inner.getvalue())])
    told = refused(unzip_series, packed, tmp_path / "out", max_bytes=10**6)
    assert told == (400, "the zip holds no DICOM file.")
