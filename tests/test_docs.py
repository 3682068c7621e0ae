"""What the pages say can be done: commands parse, keys exist, links lead somewhere."""

import ast
import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from terminal import delineate
from typer.main import get_command

import delineate as package
from delineate.cli import app
from delineate.config import load_config

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *Path(package.__file__).parent.rglob("*.md"),
    ]
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WORDS = re.compile(r"`(delineate [^`]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
PLACEHOLDERS = {"COMMAND", "[OPTIONS]", "[KEY=VALUE]..."}
FAILING = "$ "
"""Begins a command whose message is shown below it."""


def names(path: Path) -> str:
    return str(path.relative_to(ROOT))


def command_lines(page: Path) -> Iterator[str]:
    """Every line in a block and every piece of code in the text that begins with our name."""
    text = page.read_text(encoding="utf-8")
    for _, block in FENCE.findall(text):
        yield from (line for line in block.splitlines() if line.startswith("delineate "))
    yield from WORDS.findall(FENCE.sub("", text))


def words(line: str) -> list[str]:
    """The words after the program's name, without comment and redirection."""
    found = shlex.split(line, comments=True)[1:]
    return found[: found.index(">")] if ">" in found else found


def parse(arguments: list[str]) -> tuple[str, dict[str, Any]]:
    """Find the command and let it read its words, without running it; the name and the values."""
    command: Any = get_command(app)
    name = ""
    while hasattr(command, "commands") and arguments and not arguments[0].startswith("-"):
        name, *arguments = arguments
        assert name in command.commands, f"there is no command '{name}'"
        command = command.commands[name]
    if hasattr(command, "commands") or "--help" in arguments:
        return name, {}
    context = command.make_context(name, arguments)
    return name, context.params


LINES = [
    pytest.param(line, id=f"{names(page)}: {line}")
    for page in PAGES
    for line in dict.fromkeys(command_lines(page))
    if not PLACEHOLDERS & set(words(line))
]


@pytest.mark.parametrize("line", LINES)
def test_a_command_in_the_pages_can_be_given(line: str):
    name, given = parse(words(line))
    if "=" in line and name in ("train", "plan", "prepare"):
        recipe = given.get("recipe", "starter")
        config = load_config(
            "starter" if recipe.endswith(".yaml") else recipe,
            ["data.root=DATA", *(given["overrides"] or ())],
        )
        assert config.data.root


def test_a_message_in_the_readme_is_the_one_that_is_given():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = [block for _, block in FENCE.findall(text) if block.startswith(FAILING)]
    assert shown
    for block in shown:
        command, message = block.removeprefix(FAILING).split("\n", 1)
        done = delineate(*words(command))
        assert (done.code, done.err) == (2, message)


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_yaml_in_the_pages_is_part_of_a_configuration(page: Path):
    for kind, block in FENCE.findall(page.read_text(encoding="utf-8")):
        keys = yaml.safe_load(block) if kind == "yaml" else None
        if keys:
            overrides = ["data.root=DATA", *(f"{k}={v}" for k, v in keys.items())]
            assert load_config("starter", overrides).data.root == Path("DATA")


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_links_lead_to_files_that_are_there(page: Path):
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if not link.startswith(("http", "#")):
            assert (page.parent / link.partition("#")[0]).exists(), link


def test_every_page_can_be_reached_from_the_readme():
    seen, open_pages = set(), [ROOT / "README.md"]
    while open_pages:
        page = open_pages.pop()
        seen.add(page)
        links = LINK.findall(page.read_text(encoding="utf-8"))
        found = {(page.parent / link.partition("#")[0]).resolve() for link in links}
        open_pages += [p for p in found if p.suffix == ".md" and p.is_file() and p not in seen]
    assert {p for p in PAGES if p.is_relative_to(ROOT / "docs")} <= seen


def test_generated_pages_are_what_the_code_says():
    pages = runpy.run_path(str(ROOT / "docs" / "generate.py"))["pages"]()
    written = {path.name for path in (ROOT / "docs" / "reference").glob("*.md")}
    assert set(pages) | {"metrics.md"} == written
    for name, text in pages.items():
        written = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
        assert written == text, f"{name} is out of date. Fix: make docs"


def test_python_in_the_pages_compiles():
    for page in PAGES:
        for kind, block in FENCE.findall(page.read_text(encoding="utf-8")):
            if kind == "python":
                assert ast.parse(block, names(page)).body, f"an empty block in {page}"
