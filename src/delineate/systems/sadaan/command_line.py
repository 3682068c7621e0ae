"""What stands behind `python train_hdf5.py`, as Sacred reads it: [COMMAND] [with KEY=VALUE ...]."""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from delineate.errors import ConfigError

__all__ = ["CommandLine", "show_settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """The words of one call."""

    command: str | None
    """None trains."""
    values: dict[str, Any]
    """What the assignments say, nested; a dict goes over what was said before."""
    others: tuple[str, ...]
    """Options, and updates that are no assignment: files and named configurations of Sacred."""

    @classmethod
    def read(cls, words: Sequence[str]) -> "CommandLine":
        """Read the words behind the program's name."""
        before, after = _split(list(words))
        names = [word for word in before if not word.startswith("-")]
        values: dict[str, Any] = {}
        for text in after:
            if _assigns(text):
                key, _, value = text.partition("=")
                _put(values, key.strip(), _literal(value.strip()))
        others = [w for w in before if w.startswith("-")] + [w for w in after if not _assigns(w)]
        command = names[0] if names and not others else None
        return cls(command=command, values=values, others=tuple(o for o in others if o))


def show_settings(settings: Mapping[str, Any], depth: int = 1) -> str:
    """Settings as Sacred's print_config lays them out."""
    lines = []
    for key, value in sorted(settings.items()):
        if isinstance(value, Mapping):
            lines += [f"{'  ' * depth}{key}:", show_settings(value, depth + 1)]
        else:
            lines.append(f"{'  ' * depth}{key} = {value!r}")
    return "\n".join(lines)


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """The words before `with` and the updates after it; options behind them count as before."""
    if "with" not in words:
        return words, []
    place = words.index("with")
    after = words[place + 1 :]
    end = next((i for i, word in enumerate(after) if word.startswith("-")), len(after))
    return words[:place] + after[end:], after[:end]


def _assigns(text: str) -> bool:
    return "=" in text and not text.startswith("-")


def _literal(text: str) -> Any:
    """A number, a list, a dict, True, False or None as Python writes them; all else is text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{key}={value}: '{section}' was given a value of its own before.")
        values = inner
    old = values.get(last)
    values[last] = old | value if isinstance(old, dict) and isinstance(value, dict) else value
