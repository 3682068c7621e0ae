"""A cascade in one file: its stages, and for each an ordinary package, one zip within another.

cascade.json        the stages, each `model` a member
card.md             what the cascade is, and the cards of its models
stages/0.zip ...    packages, read with all the checks that packages have
manifest.json       length and SHA-256 of all of them
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import BadZipFile, ZipFile

from delineate.errors import ConfigError, DataError
from delineate.inference.cascade import Cascade
from delineate.inference.model import Model
from delineate.package.archive import Archive, open_archive, write_archive
from delineate.package.card import Statement, list_facts, said_by_authors
from delineate.package.cascade_file import StageText, build_cascade, parse_cascade
from delineate.package.checks import FIX, Known
from delineate.package.read import read_card, read_package
from delineate.package.refusals import NotAPackage

__all__ = ["holds_cascade", "read_cascade_card", "read_cascade_package", "write_cascade_package"]

STAGES = "cascade.json"
CARD = "card.md"
CASCADE = Known(texts=frozenset({STAGES, CARD}), large=re.compile(r"stages/\d{1,2}\.zip"))


def holds_cascade(path: Path) -> bool:
    """Whether a file is a zip with the stages of a cascade; nothing of it is checked yet."""
    try:
        with ZipFile(path) as file:
            return STAGES in file.namelist()
    except (BadZipFile, OSError, ValueError, NotImplementedError):
        return False


def write_cascade_package(
    path: Path, texts: Sequence[StageText], packages: Sequence[Path], *, statement: Statement
) -> None:
    """Write the stages and their packages, in the same order; at once or not at all."""
    names = [f"stages/{number}.zip" for number in range(len(packages))]
    entries = [
        text.model_copy(update={"model": name}).model_dump(exclude_none=True)
        for text, name in zip(texts, names, strict=True)
    ]
    stages = json.dumps({"stages": entries}, indent=1) + "\n"

    def members() -> Iterator[tuple[str, bytes]]:
        yield CARD, _card(texts, packages, statement).encode()
        yield STAGES, stages.encode()
        for name, package in zip(names, packages, strict=True):
            yield name, package.read_bytes()

    write_archive(path, members())


def read_cascade_package(path: Path, *, trust: Sequence[str] = ()) -> Cascade:
    """The cascade in a package, on the CPU; whatever is wrong with it has a name in `refusals`."""
    path = Path(path)
    with open_archive(path, CASCADE) as archive, TemporaryDirectory() as folder:
        text = archive.read(STAGES).decode("utf-8", errors="replace")
        texts = parse_cascade(text, f"{path}: {STAGES}")

        def read(member: str) -> Model:
            return _read_stage(archive, member, Path(folder) / "stage.zip", trust)

        return build_cascade(texts, read, str(path))


def read_cascade_card(path: Path) -> str:
    """The card of a cascade, in Markdown."""
    with open_archive(Path(path), CASCADE) as archive:
        return archive.read(CARD).decode("utf-8", errors="replace")


def _read_stage(archive: Archive, member: str, unpacked: Path, trust: Sequence[str]) -> Model:
    if not CASCADE.is_large(member):
        raise NotAPackage(f"{archive.path}: {member[:80]!a} is no stage's package. {FIX}")
    unpacked.write_bytes(archive.read(member))
    try:
        return read_package(unpacked, trust=trust)
    except (DataError, ConfigError) as error:
        told = str(error).replace(str(unpacked), f"{archive.path}: {member}")
        raise type(error)(told) from None


def _card(texts: Sequence[StageText], packages: Sequence[Path], statement: Statement) -> str:
    """The stages in a list, and below it the cards of their models, one heading deeper."""
    title = " ".join(statement.name.split()) or "Cascade"
    lines = [f"# {title}", "", list_facts(said_by_authors(statement)), ""]
    lines += ["Stages, in their order:", ""]
    lines += [f"{n}. **{text.name}** ({_tell(text)})" for n, text in enumerate(texts, 1)]
    for text, package in zip(texts, packages, strict=True):
        card = re.sub(r"^(#{1,5} )", r"#\1", read_card(package), flags=re.MULTILINE)
        lines += ["", f"# Stage {text.name}", "", card.strip()]
    return "\n".join(lines) + "\n"


def _tell(text: StageText) -> str:
    shown = text.model_dump(exclude={"name", "model"}, exclude_none=True)
    return ", ".join(f"{key}: {value}" for key, value in shown.items())
