"""YAML as people expect it: 1e-3 is a number, a key stands once, and every value knows its line.

The scalars are those of YAML 1.2. An unquoted yes, no, on or off, which YAML 1.1 takes for true or
false, is refused: whichever way it is read, it surprises someone.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml

from delineate.config.places import Key, Mistake, Place, Places, dotted
from delineate.errors import ConfigError

__all__ = ["Reading", "read_yaml", "write_yaml"]

TAG = "tag:yaml.org,2002:"
TRAP = "!yes-or-no"
SCALARS = (
    (f"{TAG}null", r"|~|null|Null|NULL", [*"~nN", ""]),
    (f"{TAG}bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    (f"{TAG}int", r"[-+]?[0-9]+", list("-+0123456789")),
    (
        f"{TAG}float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    (TRAP, r"yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF", list("yYnNoO")),
)
MEANS_TRUE = {"yes", "on"}
MAX_VALUES, MAX_DEPTH = 10_000, 40


class Loader(yaml.SafeLoader):
    """Reads the scalars above."""


class Dumper(yaml.SafeDumper):
    """Quotes text that the loader would read as something else."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write a value out each time it occurs."""
        return True


for _kind in (Loader, Dumper):
    _kind.yaml_implicit_resolvers = {}  # instead of those of YAML 1.1
    for _tag, _pattern, _first in SCALARS:
        _kind.add_implicit_resolver(_tag, re.compile(rf"^(?:{_pattern})$"), _first)


@dataclass(slots=True)
class Reading:
    """What a text says, where each key stands, and what is wrong so far."""

    data: Any
    places: Places = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)


def read_yaml(text: str, place: Callable[[int], Place], *, start: Key = ()) -> Reading:
    """Read one document; what is not YAML at all is a ConfigError, the rest is noted as mistakes.

    Args:
        place: From a line, counted from 1, to the place that messages name.
        start: The key that the text is the value of.
    """
    try:
        node = yaml.compose(text, Loader)
    except yaml.YAMLError as error:
        raise ConfigError(_explain(error, text, place)) from None
    reading = Reading(data=None)
    if node is not None:
        reading.places[start] = place(node.start_mark.line + 1)
        reading.data = _Walk(reading, place).value(node, start)
    return reading


def write_yaml(value: Any, *, flow: bool = False) -> str:
    """The text that `read_yaml` reads back, keys in their order."""
    return yaml.dump(
        value, Dumper=Dumper, sort_keys=False, default_flow_style=flow or None, width=100
    )


class _Walk:
    """From nodes to values, places and mistakes."""

    def __init__(self, reading: Reading, place: Callable[[int], Place]) -> None:
        self.reading = reading
        self.place = place
        self.count = 0

    def value(self, node: yaml.Node, key: Key) -> Any:
        self.count += 1
        if self.count > MAX_VALUES or len(key) > MAX_DEPTH:
            raise ConfigError(
                f"{self.place(node.start_mark.line + 1)}: an alias (*name) grows without end. "
                "Fix: write the values out."
            )
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, key)
        if isinstance(node, yaml.SequenceNode):
            return [self.item(child, (*key, i)) for i, child in enumerate(node.value)]
        return self.scalar(node, key)

    def item(self, node: yaml.Node, key: Key) -> Any:
        self.reading.places[key] = self.place(node.start_mark.line + 1)
        return self.value(node, key)

    def mapping(self, node: yaml.MappingNode, key: Key) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name_node, value_node in node.value:
            place = self.place(name_node.start_mark.line + 1)
            name = name_node.value
            if not isinstance(name, str):
                self.wrong(key, place, "a key must be plain text.")
                continue
            child = (*key, name)
            if name in found:
                first = self.reading.places[child].line
                self.wrong(child, place, f"'{dotted(child)}' stands twice, first in line {first}.")
                continue
            self.reading.places[child] = place
            found[name] = self.value(value_node, child)
        return found

    def scalar(self, node: yaml.Node, key: Key) -> Any:
        text, kind = node.value, node.tag.removeprefix(TAG)
        match kind:
            case "str":
                return text
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int" | "float":
                return self.number(node, key, kind)
        place = self.place(node.start_mark.line + 1)
        if node.tag == TRAP:
            meant = "true" if text.lower() in MEANS_TRUE else "false"
            self.wrong(
                key,
                place,
                f"{dotted(key)} is a bare {text}, which some read as {meant} and some as text. "
                f"Fix: write {meant}, or '{text}' in quotes.",
            )
        else:
            self.wrong(key, place, f"{dotted(key)} has the unknown tag '{node.tag}'.")
        return text

    def number(self, node: yaml.Node, key: Key, kind: str) -> Any:
        text = node.value
        try:
            return (
                int(text)
                if kind == "int"
                else float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
            )
        except ValueError:
            place = self.place(node.start_mark.line + 1)
            self.wrong(key, place, f"{dotted(key)} is tagged !!{kind} but reads '{text}'.")
            return text

    def wrong(self, key: Key, place: Place, text: str) -> None:
        self.reading.mistakes.append(Mistake(key, place, text))


def _explain(error: yaml.YAMLError, text: str, place: Callable[[int], Place]) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        position = getattr(error, "position", 0)
        line = text[:position].count("\n") + 1
        return f"{place(line)}: not YAML: there is a character that text cannot hold."
    line, problem = mark.line + 1, getattr(error, "problem", None) or "it breaks off"
    if "'\\t'" in problem or _has_leading_tab(text, line):
        return f"{place(line)}: a tab cannot indent YAML. Fix: use spaces."
    if "mapping values are not allowed" in problem:
        return (
            f"{place(line)}: not YAML: a second ':' in one line, or an indent that does not match. "
            "Fix: put the value in quotes, or align the keys."
        )
    context = getattr(error, "context", None)
    return f"{place(line)}: not YAML: {f'{context}, ' if context else ''}{problem}."


def _has_leading_tab(text: str, line: int) -> bool:
    lines = text.splitlines()
    return line <= len(lines) and bool(re.match(r" *\t", lines[line - 1]))
