"""The zip of a package: the same bytes every time, and nothing else is ever opened."""

import hashlib
import json
import os
import pickle
import random
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from delineate.errors import DataError
from delineate.package.archive import MANIFEST, open_archive, write_archive
from delineate.package.refusals import (
    NewerFormat,
    NotAPackage,
    PackageRefused,
    PickleInside,
    TruncatedPackage,
    UnknownMember,
    UnsafePath,
    WrongChecksum,
    WrongSize,
)

MEMBERS = {"plan.json": b'{"a": 1}', "card.md": b"# Model\n", "weights/0.safetensors": b"\0" * 64}


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.zip"
    write_archive(path, MEMBERS.items())
    return path


def test_members_come_back_and_each_is_in_the_manifest(good: Path):
    with open_archive(good) as archive:
        assert {name: archive.read(name) for name in archive.names} == MEMBERS
        assert archive.read_json("plan.json") == {"a": 1}
    with zipfile.ZipFile(good) as file:
        manifest = json.loads(file.read(MANIFEST))
    assert manifest["format"] == 1
    assert manifest["members"] == {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in MEMBERS.items()
    }


def test_the_same_members_give_the_same_bytes(good: Path, tmp_path: Path):
    again = tmp_path / "elsewhere" / "other.zip"
    write_archive(again, MEMBERS.items())
    assert again.read_bytes() == good.read_bytes()


def test_a_member_that_is_not_there_is_named(good: Path):
    with open_archive(good) as archive, pytest.raises(NotAPackage, match=r"no domain\.json in it"):
        archive.read("domain.json")


class Forger:
    """Writes an archive whose manifest fits its members, but for what is changed on purpose."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.members = dict(MEMBERS)
        self.extra: list[tuple[zipfile.ZipInfo | str, bytes]] = []
        self.compression = zipfile.ZIP_STORED
        self.change: Callable[[dict], None] = lambda manifest: None

    def write(self) -> Path:
        listed = {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in self.members.items()
        }
        manifest = {"format": 1, "written_by": "somebody", "members": listed}
        self.change(manifest)
        with zipfile.ZipFile(self.path, "w", self.compression) as file:
            for name, data in (*self.members.items(), *self.extra):
                file.writestr(name, data)
            file.writestr(MANIFEST, json.dumps(manifest), zipfile.ZIP_STORED)
        return self.path


@pytest.fixture
def forger(tmp_path: Path) -> Forger:
    return Forger(tmp_path / "forged.zip")


def read_all(path: Path) -> None:
    with open_archive(path) as archive:
        for name in archive.names:
            archive.read(name)


def test_a_forgery_without_a_change_is_read(forger: Forger):
    read_all(forger.write())


@pytest.mark.parametrize(
    "name",
    ["../evil.json", "/etc/passwd", "weights/../../evil", "C:/evil", "..\\evil", "\\\\host\\evil"],
)
def test_a_path_that_climbs_out_is_refused(forger: Forger, name: str):
    forger.members[name] = b"{}"
    with pytest.raises(UnsafePath, match="would lie outside the archive"):
        read_all(forger.write())


def test_a_link_is_refused(forger: Forger):
    link = zipfile.ZipInfo("plan.json.link")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    forger.extra.append((link, b"/etc/passwd"))
    with pytest.raises(UnsafePath, match="is a link or a folder"):
        read_all(forger.write())


@pytest.mark.parametrize("name", ["data.pkl", "weights/0.pt", "model.pth", "x/data.PICKLE"])
def test_a_pickle_inside_is_refused_by_its_name(forger: Forger, name: str):
    forger.members[name] = pickle.dumps({})
    with pytest.raises(PickleInside, match="may be a pickle"):
        read_all(forger.write())


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_is_refused(forger: Forger):
    forger.extra.append(("plan.json", b'{"a": 2}'))
    with pytest.raises(UnknownMember, match=r"'plan\.json' is there twice"):
        read_all(forger.write())


def test_a_member_that_no_package_has_is_refused(forger: Forger):
    forger.members["run.py"] = b"print()"
    with pytest.raises(UnknownMember, match=r"a package has no member 'run\.py'"):
        read_all(forger.write())


def test_a_compressed_member_is_refused_so_that_nothing_can_grow(forger: Forger):
    forger.compression = zipfile.ZIP_DEFLATED
    forger.members["plan.json"] = b" " * 100_000
    with pytest.raises(UnknownMember, match="is compressed or encrypted"):
        read_all(forger.write())


def test_a_wrong_checksum_is_refused(forger: Forger):
    forger.change = lambda m: m["members"]["plan.json"].update(sha256="0" * 64)
    with pytest.raises(WrongChecksum, match=r"plan\.json is not what was packed"):
        read_all(forger.write())


def test_a_damaged_byte_is_a_wrong_checksum(good: Path):
    data = bytearray(good.read_bytes())
    data[data.index(b"# Model")] ^= 1
    good.write_bytes(data)
    with pytest.raises(WrongChecksum, match=r"card\.md is damaged"):
        read_all(good)


def test_a_manifest_that_lies_about_sizes_is_refused(forger: Forger):
    forger.change = lambda m: m["members"]["plan.json"].update(bytes=7)
    with pytest.raises(WrongSize, match=r"plan\.json has 8 bytes, but manifest\.json says 7"):
        read_all(forger.write())


def test_an_archive_that_claims_more_than_the_file_holds_is_refused(good: Path):
    data = bytearray(good.read_bytes())
    entry = data.index(b"PK\x01\x02")  # the first entry of the list at the end: plan.json
    claimed = (1 << 20).to_bytes(4, "little")
    data[entry + 20 : entry + 28] = claimed + claimed
    good.write_bytes(data)
    with pytest.raises(PackageRefused, match=r"claim \d+ bytes, but the file has|Overlapped"):
        read_all(good)


@pytest.mark.parametrize("place", ["archive", "manifest"])
def test_a_member_that_only_one_of_the_two_knows_is_refused(forger: Forger, place: str):
    def change(manifest: dict) -> None:
        if place == "archive":
            del manifest["members"]["card.md"]
        else:
            manifest["members"]["domain.json"] = {"bytes": 1, "sha256": ""}

    forger.change = change
    with pytest.raises(UnknownMember, match="is only in"):
        read_all(forger.write())


def test_a_newer_format_says_what_to_do_whatever_else_is_new(forger: Forger):
    forger.change = lambda m: m.update(format=2, written_by="delineate 9.0")
    forger.members["novelty.json"] = b"{}"
    forger.compression = zipfile.ZIP_DEFLATED
    with pytest.raises(NewerFormat, match=r"format 2, written by delineate 9\.0.*pip install"):
        read_all(forger.write())


def test_every_shorter_copy_is_refused(good: Path):
    for length in reversed(range(good.stat().st_size)):
        os.truncate(good, length)
        with pytest.raises(TruncatedPackage if length >= 4 else NotAPackage):
            read_all(good)


def test_what_is_no_zip_is_named_for_what_it_is(tmp_path: Path):
    text, other, absent = (tmp_path / name for name in ("a.txt", "b.zip", "c.zip"))
    text.write_text("no zip")
    with pytest.raises(NotAPackage, match="this is no zip archive"):
        read_all(text)
    with zipfile.ZipFile(other, "w") as file:
        file.writestr("plan.json", "{}")
    with pytest.raises(NotAPackage, match=r"a zip without manifest\.json is no package"):
        read_all(other)
    with pytest.raises(DataError, match="no such file"):
        read_all(absent)


def test_whatever_byte_is_wrong_the_archive_is_refused_or_the_same(good: Path, tmp_path: Path):
    data, wrong = good.read_bytes(), tmp_path / "wrong.zip"
    rng = random.Random(0)
    for place in rng.sample(range(len(data)), min(400, len(data))):
        changed = bytearray(data)
        changed[place] = (changed[place] + rng.randrange(1, 256)) % 256
        wrong.write_bytes(changed)
        try:
            with open_archive(wrong) as archive:
                found = {name: archive.read(name) for name in archive.names}
        except PackageRefused:
            continue
        # Dates and the like: what is read is what was written.
        assert found == MEMBERS


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize("way", ["pickle", "torch file"])
def test_a_payload_does_not_run(tmp_path: Path, way: str):
    mark, path = tmp_path / "it_ran", tmp_path / "model.zip"
    if way == "pickle":
        path.write_bytes(pickle.dumps(Payload(mark)))
    else:
        torch.save({"weights": Payload(mark)}, path)
    with pytest.raises(PickleInside):
        read_all(path)
    assert not mark.exists()
    # The payload is real: whoever does unpickle it runs it.
    pickle.loads(pickle.dumps(Payload(mark)))
    assert mark.exists()
