"""Write the pages of docs/reference from schema, commands and findings: `make docs`."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from delineate.cli import app
from delineate.config import config_reference
from delineate.datasets.findings import KINDS

REFERENCE = Path(__file__).parent / "reference"

HEAD = """\
# Command line

`delineate --help` lists the commands, `delineate COMMAND --help` describes one.

- Exit code 0: done. 1: `doctor` found an error in the data. 2: a mistake that you can mend, told
  in one message on stderr. 130: stopped with Ctrl-C. A traceback is a bug of ours.
- Results go to stdout, progress bars and messages to stderr. Bars appear on a terminal only.
- `KEY=VALUE` replaces a key of the recipe; every key is in the [configuration](config.md).
"""

FINDINGS = """\
# What the doctor finds

`delineate doctor DATA` prints these, and `--json FILE` writes them by these names. An error must be
mended before training; a warning is worth a look. See [how to use it](../how-to/doctor.md).

| kind | severity | what it means | what to do |
|---|---|---|---|
"""


def pages() -> dict[str, str]:
    """The text of each generated page by its file name."""
    return {
        "config.md": config_reference(),
        "cli.md": cli_reference(),
        "findings.md": findings_reference(),
    }


def cli_reference() -> str:
    """Markdown: every command, its arguments and its options."""
    return "\n".join([HEAD, *_commands(get_command(app), "delineate")])


def findings_reference() -> str:
    """Markdown: every kind of finding."""
    rows = (f"| `{name}` | {' | '.join(kind)} |\n" for name, kind in KINDS.items())
    return FINDINGS + "".join(rows)


def _commands(group: Any, path: str) -> Iterator[str]:
    for name, command in group.commands.items():
        whole = f"{path} {name}"
        if hasattr(command, "commands"):
            yield from _commands(command, whole)
        else:
            yield from _command(command, whole)


def _command(command: Any, path: str) -> Iterator[str]:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    words = [path, *map(_placeholder, arguments)]
    words += [f"{option.opts[-1]} {_value(option)}" for option in options if option.required]
    free = [] if all(option.required for option in options) else ["[OPTIONS]"]
    yield from (f"## {path}", "", inspect.cleandoc(command.help or ""), "")
    yield from ("```", " ".join([*words, *free]), "```", "")
    rows = [(_placeholder(p), p.help or "", "") for p in arguments]
    rows += [(_flags(p), p.help or "", _default(p)) for p in options]
    if rows:
        yield from ("| argument or option | meaning | default |", "|---|---|---|")
        yield from (f"| `{name}` | {meaning} | {default} |" for name, meaning, default in rows)
        yield ""


def _placeholder(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return f"{name}..." if argument.nargs == -1 and not name.endswith("...") else name


def _flags(option: Any) -> str:
    names = ", ".join(sorted(option.opts, key=len))
    if not option.is_flag:
        return f"{names} {_value(option)}"
    return "/".join([names, *option.secondary_opts])


def _value(option: Any) -> str:
    return option.metavar or option.opts[0].lstrip("-").replace("-", "_").upper()


def _default(option: Any) -> str:
    if option.required:
        return "required"
    if option.default is None or option.default is False:
        return ""
    return f"`{option.default}`"


if __name__ == "__main__":
    for file, text in pages().items():
        (REFERENCE / file).write_text(text, encoding="utf-8")
