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

__all__ = ["Reading", "Walk", "read_yaml", "write_yaml"]

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
MAX_DEPTH = 40


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
    return _StrictWalk(Loader, place).read(text, start)


def write_yaml(value: Any, *, flow: bool = False) -> str:
    """The text that `read_yaml` reads back, keys in their order."""
    return yaml.dump(
        value, Dumper=Dumper, sort_keys=False, default_flow_style=flow or None, width=100
    )


class Walk:
    """Abstract: from the nodes of one text to values, places and mistakes.

    Args:
        kind: what knows the tags of scalars.
        place: from a line, counted from 1, to the place that messages name.
    """

    most = 10_000
    """Values of one text: more come of an alias within itself."""

    def __init__(self, kind: type[yaml.SafeLoader], place: Callable[[int], Place]) -> None:
        self.kind = kind
        self.at = place
        self.reading = Reading(data=None)
        self.count = 0

    def read(self, text: str, start: Key = ()) -> Reading:
        """Read one document; what is not YAML at all is a ConfigError."""
        try:
            self.loader = self.kind(text)
            node = self.loader.get_single_node()
            if node is not None:
                self.reading.data = self.item(node, start)
        except yaml.YAMLError as error:
            raise ConfigError(_explain(error, text, self.at)) from None
        return self.reading

    def mapping(self, node: yaml.MappingNode, key: Key) -> dict[Any, Any]:
        """The values by their keys."""
        raise NotImplementedError

    def scalar(self, node: yaml.Node, key: Key) -> Any:
        """A number, a text, true, false or None."""
        raise NotImplementedError

    def value(self, node: yaml.Node, key: Key) -> Any:
        """What a node says, with all that is in it."""
        self.count += 1
        if self.count > self.most or len(key) > MAX_DEPTH:
            raise ConfigError(
                f"{self.place(node)}: an alias (*name) grows without end. "
                "Fix: write the values out."
            )
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, key)
        if isinstance(node, yaml.SequenceNode):
            return [self.item(child, (*key, i)) for i, child in enumerate(node.value)]
        return self.scalar(node, key)

    def item(self, node: yaml.Node, key: Key) -> Any:
        """The value of a node that stands for itself, in its place."""
        self.reading.places[key] = self.place(node)
        return self.value(node, key)

    def place(self, node: yaml.Node) -> Place:
        """Where a node begins."""
        return self.at(node.start_mark.line + 1)

    def wrong(self, key: Key, node: yaml.Node, text: str) -> None:
        """Note a mistake."""
        self.reading.mistakes.append(Mistake(key, self.place(node), text))


class _StrictWalk(Walk):
    """A key stands once; only the scalars above are known."""

    def mapping(self, node: yaml.MappingNode, key: Key) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name_node, value_node in node.value:
            name = name_node.value
            if not isinstance(name, str):
                self.wrong(key, name_node, "a key must be plain text.")
                continue
            child = (*key, name)
            if name in found:
                first = self.reading.places[child].line
                text = f"'{dotted(child)}' stands twice, first in line {first}."
                self.wrong(child, name_node, text)
                continue
            self.reading.places[child] = self.place(name_node)
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
        if node.tag == TRAP:
            meant = "true" if text.lower() in MEANS_TRUE else "false"
            self.wrong(
                key,
                node,
                f"{dotted(key)} is a bare {text}, which some read as {meant} and some as text. "
                f"Fix: write {meant}, or '{text}' in quotes.",
            )
        else:
            self.wrong(key, node, f"{dotted(key)} has the unknown tag '{node.tag}'.")
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
            self.wrong(key, node, f"{dotted(key)} is tagged !!{kind} but reads '{text}'.")
            return text


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
