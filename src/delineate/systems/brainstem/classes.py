"""Which classes a training has, and which ids of the masks each of them unites.

Masks keep their own ids: a class is marked by the first id that it unites, so that predictions say
what the atlas says. An id of no class is background.
"""

import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from delineate.errors import ConfigError, DataError
from delineate.labels import Class, Labels, find_pairs
from delineate.systems.brainstem.schema import Remap, Schema
from delineate.systems.brainstem.schema_file import SHIPPED, read_schema

__all__ = ["Classes", "choose_classes", "read_lookup"]

log = logging.getLogger("delineate")

NAMED = re.compile(r"^\s*(?P<id>\d+)[\s:,;=]+(?P<name>.*\S)\s*$")
NAME_FIRST = re.compile(r"^\s*(?P<name>.*?[^\s:,;=])[\s:,;=]+(?P<id>\d+)\s*$")
QUOTED = re.compile(r'"([^"]+)"')
NUMBERS = re.compile(r"([\s,;]+\d+(\.\d+)?){3,4}\s*$")
"""Of a colour; fewer are part of a name, as in `CA 1`."""


@dataclass(frozen=True, kw_only=True)
class Classes:
    """The labels of a training, and how masks come to have no others."""

    labels: Labels
    united: Mapping[int, int]
    """The id that marks the class, by each id that the class unites."""
    parts: tuple[str, ...] = ()
    """The subdivisions: 1, 2, 3, ... in a subdivision mask."""

    def keep(self, mask: np.ndarray) -> np.ndarray:
        """The mask with the ids of the classes; every other id is 0."""
        high = int(mask.max(initial=0))
        if int(mask.min(initial=0)) < 0:
            raise DataError(f"the mask holds {int(mask.min())}. Fix: ids of at least 0.")
        table = np.zeros(high + 1, np.int32)
        for number, kept in self.united.items():
            if number <= high:
                table[number] = kept
        return table[mask]

    @cached_property
    def part_of(self) -> np.ndarray:
        """(channels,) the number of the subdivision that each channel lies in, else 0."""
        found = np.zeros(self.labels.channels, np.int64)
        for number, name in enumerate(self.parts, 1):
            found[list(self.labels.members(name))] = number
        return found


def choose_classes(
    schema: Schema, num_classes: int | None, *, found: Collection[int], names: Mapping[int, str]
) -> Classes:
    """The classes for so many channels; all ids that are found where `num_classes` is None.

    Args:
        schema: Of the masks; where it declares no remaps, those of the schema that is shipped hold.
        num_classes: Background included.
        found: The ids in the masks, 0 left out.
        names: Of labels.txt, for ids that the schema does not know.
    """
    everything = _all_classes(schema, found, names)
    declaring = schema if schema.remaps else read_schema(SHIPPED)
    remaps = declaring.remaps
    if num_classes is None or (
        num_classes not in remaps and num_classes == everything.labels.channels
    ):
        return everything
    if num_classes not in remaps:
        known = ", ".join(map(str, sorted(remaps)))
        raise ConfigError(
            f"num_classes is {num_classes}, for which the schema declares no classes. "
            f"Fix: None for all {everything.labels.channels} of the data, {known}, or declare them "
            f"under class_remaps '{num_classes}' in the schema."
        )
    return _remapped(declaring, remaps[num_classes], found)


def read_lookup(path: Path) -> dict[int, str]:
    """Names by id, from lines such as `4 Red nucleus`, those of FreeSurfer or those of ITK-SNAP."""
    table: dict[int, str] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not readable ({error}). Fix: a text in UTF-8.") from None
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith(("#", "//")):
            continue
        match = NAMED.match(line) or NAME_FIRST.match(line)
        if match is None:
            if number == 1:  # the names of columns
                continue
            raise DataError(f"{path}:{number}: {line!r} is no id and name. Fix: '4 Red nucleus'.")
        quoted = QUOTED.search(match["name"])
        name = quoted[1] if quoted else NUMBERS.sub("", match["name"])
        table[int(match["id"])] = name.strip()
    return table


def _all_classes(schema: Schema, found: Collection[int], names: Mapping[int, str]) -> Classes:
    """Every structure that is there or unites some that are; then the ids without a structure."""
    there = {s.key for s in schema.structures if s.label_id in found}
    needed = {above for key in there for above in schema.line(key)}
    classes = [
        Class(
            name=s.key,
            id=s.label_id if s.key in there else None,
            colour=schema.colour(s),
            parent=s.parent,
        )
        for s in schema.structures
        if s.key in needed
    ]
    declared = {s.label_id for s in schema.structures}
    taken = {c.name for c in classes}
    for number in sorted(set(found) - declared):
        name = _free(names.get(number, f"label_{number}"), number, taken)
        taken.add(name)
        classes.append(Class(name=name, id=number))
    _say_differences(schema, names, found)
    return _with_pairs(classes, {n: n for n in found}, schema)


def _remapped(schema: Schema, classes: tuple[Remap, ...], found: Collection[int]) -> Classes:
    """The declared classes, each id marking the first one of its own, and what unites them."""
    own = {one.name: one for one in classes}
    above = [p for one in classes if one.parent for p in _line(schema, own, one.parent)]
    unions = [key for key in dict.fromkeys(above) if key not in own]
    made = [Class(name=key, parent=_parent(schema, key)) for key in unions]
    colours = {s.key: schema.colour(s) for s in schema.structures}
    made += [
        Class(name=c.name, id=c.label_ids[0], colour=colours.get(c.name), parent=c.parent)
        for c in classes
    ]
    united = {number: one.label_ids[0] for one in classes for number in one.label_ids}
    absent = [one.name for one in classes if not set(one.label_ids) & set(found)]
    if len(absent) == len(classes):
        raise DataError(
            f"none of the ids that num_classes={len(classes) + 1} asks for ({sorted(united)}) is "
            f"in the masks, which hold {sorted(found)[:12]}. Fix: num_classes=None takes all, or "
            "declare class_remaps in the schema."
        )
    if absent:
        log.warning("no mask holds %s: these classes cannot be learnt", ", ".join(absent))
    return _with_pairs(made, united, schema)


def _line(schema: Schema, own: Mapping[str, Remap], key: str) -> list[str]:
    """What lies around a class: by the remap where it has that class, else by the schema."""
    line: list[str] = []
    following: str | None = key
    while following is not None and following not in line:
        line.append(following)
        following = own[following].parent if following in own else _parent(schema, following)
    return line


def _parent(schema: Schema, key: str) -> str | None:
    try:
        return schema.structure(key).parent
    except StopIteration:
        raise DataError(
            f"the schema's class_remaps name the parent '{key}', which it does not have. "
            "Fix: a key of the hierarchy."
        ) from None


def _with_pairs(classes: list[Class], united: Mapping[int, int], schema: Schema) -> Classes:
    names = [c.name for c in classes]
    labels = Labels(classes=tuple(classes), pairs=find_pairs(names))
    return Classes(
        labels=labels,
        united=united,
        parts=tuple(key for key in schema.subdivisions if key in names),
    )


def _free(name: str, number: int, taken: Collection[str]) -> str:
    return name if name not in taken else f"{name}_{number}"


def _say_differences(schema: Schema, names: Mapping[int, str], found: Collection[int]) -> None:
    """Warn where an id has one name in labels.txt and another in the schema."""
    for s in schema.structures:
        if s.label_id is not None and s.label_id in names and s.label_id in found:
            said = names[s.label_id]
            known = (s.name, s.key, str(s.facts.get("abbreviation")))
            same = said.lower() in map(str.lower, known)
            if not same and not _words(said) & (_words(s.name) | _words(s.key)):
                log.warning(
                    "id %d is '%s' in labels.txt and '%s' in the schema, which is taken",
                    s.label_id,
                    said,
                    s.name,
                )


def _words(text: str) -> set[str]:
    """Its words and their beginnings, so that nucleus and nuclei meet."""
    return {word[:5].lower() for word in re.findall(r"[A-Za-z]{3,}", text)} - {"nucle"}
