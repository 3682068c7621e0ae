"""What the zip file of a package may be, before anything of it is used."""

import re
import stat
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipInfo

from delineate.package.refusals import PickleInside, UnknownMember, UnsafePath, WrongSize

__all__ = [
    "FIX",
    "MANIFEST",
    "MODEL",
    "Known",
    "refuse_danger",
    "refuse_disagreement",
    "refuse_packed",
    "refuse_unknown",
]

FIX = "Fix: ask its author for the file that `delineate package` wrote."
MANIFEST = "manifest.json"
LARGEST_TEXT = 16 << 20
MOST_MEMBERS = 1100
PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".bin", ".npy", ".npz", ".joblib", ".dill")
"""Suffixes of files that are, or may hold, pickles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The members that an archive of one kind may have, besides its manifest."""

    texts: frozenset[str]
    """Their names; each is small."""
    large: re.Pattern[str]
    """The whole name of all others."""

    def __contains__(self, name: str) -> bool:
        return name in self.texts or name == MANIFEST or self.is_large(name)

    def is_large(self, name: str) -> bool:
        """Whether it may be longer than a text."""
        return self.large.fullmatch(name) is not None


MODEL = Known(
    texts=frozenset(
        {
            "card.md",
            "domain.json",
            "inference.json",
            "labels.json",
            "networks.json",
            "plan.json",
            "postprocessing.json",
            "preprocessing.json",
        }
    ),
    large=re.compile(r"weights/\d{1,3}\.safetensors"),
)


def refuse_danger(path: Path, infos: list[ZipInfo]) -> None:
    """Refuse what no archive of ours has ever had, whatever its version."""
    if len(infos) > MOST_MEMBERS:
        raise WrongSize(f"{path}: {len(infos)} members are more than a package has. {FIX}")
    for info in infos:
        name, kind = info.filename, stat.S_IFMT(info.external_attr >> 16)
        steps = name.replace("\\", "/").split("/")
        if name.startswith(("/", "\\")) or ".." in steps or ":" in steps[0]:
            raise UnsafePath(
                f"{path}: the member {_shown(name)} would lie outside the archive. {FIX}"
            )
        if kind not in (0, stat.S_IFREG) or info.is_dir():
            raise UnsafePath(
                f"{path}: the member {_shown(name)} is a link or a folder, not a file. {FIX}"
            )
        if name.lower().endswith(PICKLES):
            raise PickleInside(
                f"{path}: the member {_shown(name)} may be a pickle, which could run any code. "
                f"{FIX}"
            )
    for name, count in Counter(info.filename for info in infos).items():
        if count > 1:
            raise UnknownMember(f"{path}: the member {_shown(name)} is there twice. {FIX}")


def refuse_packed(path: Path, info: ZipInfo) -> None:
    """Refuse a member that is compressed or encrypted, or that has two lengths."""
    if info.compress_type != ZIP_STORED or info.flag_bits & 1:
        raise UnknownMember(
            f"{path}: the member {_shown(info.filename)} is compressed or encrypted; in a package "
            f"nothing is. {FIX}"
        )
    if info.compress_size != info.file_size:
        raise WrongSize(f"{path}: two lengths are given for {_shown(info.filename)}. {FIX}")
    if info.filename == MANIFEST and info.file_size > LARGEST_TEXT:
        raise WrongSize(f"{path}: {MANIFEST} claims {info.file_size} bytes, far too many. {FIX}")


def refuse_unknown(path: Path, infos: list[ZipInfo], known: Known) -> None:
    """Refuse other members than an archive of this kind has, and more bytes than are there."""
    for info in infos:
        if info.filename not in known:
            raise UnknownMember(f"{path}: a package has no member {_shown(info.filename)}. {FIX}")
        refuse_packed(path, info)
        if not known.is_large(info.filename) and info.file_size > LARGEST_TEXT:
            raise WrongSize(
                f"{path}: {info.filename} has {info.file_size} bytes; a text of a package has at "
                f"most {LARGEST_TEXT}. {FIX}"
            )
    total, there = sum(info.file_size for info in infos), path.stat().st_size
    if total > there:
        raise WrongSize(f"{path}: the members claim {total} bytes, but the file has {there}. {FIX}")


def refuse_disagreement(
    path: Path, infos: list[ZipInfo], members: Mapping[str, Mapping[str, Any]]
) -> None:
    """The archive and its manifest speak of the same members and lengths."""
    there = {info.filename: info.file_size for info in infos if info.filename != MANIFEST}
    for name in sorted(there.keys() ^ members.keys()):
        place = "in the archive" if name in there else f"in {MANIFEST}"
        raise UnknownMember(f"{path}: the member {_shown(name)} is only {place}. {FIX}")
    for name, size in there.items():
        if members[name]["bytes"] != size:
            raise WrongSize(
                f"{path}: {name} has {size} bytes, but {MANIFEST} says "
                f"{members[name]['bytes']}. {FIX}"
            )


def _shown(name: str) -> str:
    """In quotes, in letters that no terminal takes for a command."""
    return ascii(name[:80])
