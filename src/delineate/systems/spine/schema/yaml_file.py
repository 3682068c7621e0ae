"""YAML as ml_framework reads it: scalars of YAML 1.1, keys that are numbers, files within files.

Only plain values are made; a tag that names an object is refused. 1e-3 is a number.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from os.path import normpath
from pathlib import Path
from typing import Any

import yaml

from delineate.config.places import Key, Place, Places, dotted, refuse
from delineate.config.text_file import read_text
from delineate.config.words import spell
from delineate.config.yaml_text import Walk
from delineate.errors import ConfigError

__all__ = ["Document", "include", "is_windows_path", "names_file", "read_document"]

log = logging.getLogger("delineate")

MAX_INCLUDES = 8
NO_FILES = ("project_name", "experiment_name", "name", "path")
"""Keys whose value is a text even if it ends like a file."""


class _Loader(yaml.SafeLoader):
    """Knows 1e-3 for a number, and leaves dates as they are written."""


_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says, and in which line of which file each key stands."""

    data: Any
    places: Places
    path: Path


def read_document(path: Path) -> Document:
    """Read one file; what it includes is still the name of a file."""
    reading = _LooseWalk(_Loader, lambda line: Place(str(path), line)).read(read_text(path))
    refuse(reading.mistakes)
    return Document(reading.data, {**reading.places, (): Place(str(path))}, path)


def include(document: Document, key: str, *, depth: int = 0) -> Document:
    """The document with the file that a key names in the key's place; any other key stays.

    A file is looked for beside the one that names it, then in the folders above. Its own keys may
    name files, too. A file that holds the key itself at its top is taken for what lies under it.
    """
    value = document.data.get(key)
    if key in NO_FILES or not names_file(value):
        return document
    place = document.places.get((key,), Place(str(document.path)))
    if depth == MAX_INCLUDES:
        raise ConfigError(f"{place}: {key}: files include each other without end.")
    inner = _whole(read_document(_found(value, document.path, f"{place}: {key}")), depth)
    inner = _unwrapped(inner, key)
    below = {(key, *rest): where for rest, where in inner.places.items()}
    return Document({**document.data, key: inner.data}, {**document.places, **below}, document.path)


def names_file(value: Any) -> bool:
    """Whether a value is the path of a YAML file."""
    return isinstance(value, str) and value.lower().endswith((".yaml", ".yml"))


def is_windows_path(value: Any) -> bool:
    """Whether a value is a path that begins with a drive, or whose steps are parted by \\."""
    return isinstance(value, str) and bool(re.match(r"[A-Za-z]:[\\/]|[^/]*\\", value))


def _whole(document: Document, depth: int) -> Document:
    if isinstance(document.data, Mapping):
        for key in document.data:
            document = include(document, key, depth=depth + 1)
    elif names_file(document.data):
        wrapped = Document({"": document.data}, {}, document.path)
        inner = include(wrapped, "", depth=depth + 1)
        places = {key[1:]: place for key, place in inner.places.items() if key[:1] == ("",)}
        return Document(inner.data[""], places, document.path)
    return document


def _unwrapped(document: Document, key: str) -> Document:
    if not (isinstance(document.data, Mapping) and set(document.data) == {key}):
        return document
    places = {rest[1:]: place for rest, place in document.places.items() if rest[:1] == (key,)}
    return Document(document.data[key], places, document.path)


def _found(name: str, beside: Path, where: str) -> Path:
    wanted = Path(name.replace("\\", "/")).expanduser()
    if wanted.is_absolute():
        candidates = [wanted]
    else:
        candidates = [folder / wanted for folder in beside.absolute().parents]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        raise ConfigError(f"{where}: no such file: {normpath(candidates[0])}.")
    found = Path(normpath(found))
    return found.relative_to(Path.cwd()) if found.is_relative_to(Path.cwd()) else found


class _LooseWalk(Walk):
    """A key may be a number and stand twice; `<<: *name` puts a mapping into another."""

    most = 20_000

    def mapping(self, node: yaml.MappingNode, key: Key) -> dict[Any, Any]:
        first: dict[Any, int] = {}
        for name_node, _ in node.value:
            name = self.scalar(name_node, key)
            if name in first and name_node.value != "<<":
                said = dotted((*key, name))
                text = "%s: '%s' stands twice, first in line %d: the last one counts."
                log.warning(text, self.place(name_node), said, first[name])
            first.setdefault(name, name_node.start_mark.line + 1)
        self.loader.flatten_mapping(node)
        found: dict[Any, Any] = {}
        for name_node, value_node in node.value:
            child = (*key, self.scalar(name_node, key))
            self.reading.places[child] = self.place(name_node)
            found[child[-1]] = self.value(value_node, child)
        return found

    def scalar(self, node: yaml.Node, key: Key) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            self.wrong(key, node, "a key must be plain text.")
            return ""
        try:
            return self.loader.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            said = getattr(error, "problem", None) or str(error)
            self.wrong(key, node, f"{dotted(key)}: {spell(node.value)} is not taken: {said}.")
            return None
