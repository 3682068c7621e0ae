"""The house stands: imports point down, one folder has no cycles, and the front door is light."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from importlib.util import find_spec
from pathlib import Path

import pytest

import delineate

SOURCE = Path(delineate.__file__).parent
FLOORS = (
    "errors contracts notes",
    "labels folder_lock cores geometry",
    "config io augment models losses",
    "metrics",
    "datasets",
    "plan",
    "data",
    "inference",
    "report tracking",
    "engine",
    "assemble run_folder plain_errors",
    "package",
    "groundwork beginning",
    "training predicting",
    "run profiling",
    "demonstration crossval stages cluster export serve",
    "console",
    "systems",
    "commands",
    "cli",
)
HEIGHT = {room: height for height, floor in enumerate(FLOORS) for room in floor.split()}
HEAVY = {"torch", "lightning", "scipy", "nibabel", "SimpleITK", "h5py", "pydicom", "matplotlib"}


def modules() -> dict[str, Path]:
    """Every module of the package but its top, which holds the version only."""
    found = {}
    for path in SOURCE.rglob("*.py"):
        steps = path.relative_to(SOURCE).with_suffix("").parts
        steps = steps[:-1] if steps[-1] == "__init__" else steps
        found[".".join(("delineate", *steps))] = path
    del found["delineate"]
    return found


@cache
def imports(path: Path) -> tuple[str, ...]:
    """The modules of the package that a file imports, at its top or in a function."""
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports in full, from delineate"
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [n if n in MODULES else str(node.module) for n in inner]
        found += [name for name in names if name in MODULES]
    return tuple(found)


MODULES = modules()


def room(module: str) -> str:
    return module.split(".")[1]


def test_every_file_stands_in_a_room_with_a_height():
    assert {room(m) for m in MODULES} <= HEIGHT.keys()


def test_imports_between_rooms_point_strictly_down():
    wrong = [
        f"{module} imports {name}"
        for module, path in MODULES.items()
        for name in imports(path)
        if room(module) != room(name) and HEIGHT[room(module)] <= HEIGHT[room(name)]
    ]
    assert not wrong, "\n".join(wrong)


def test_only_those_who_assemble_a_run_know_the_configuration():
    wrong = [
        f"{module} imports {name}"
        for module, path in MODULES.items()
        for name in imports(path)
        if room(name) == "config" != room(module) and HEIGHT[room(module)] < HEIGHT["assemble"]
    ]
    assert not wrong, "\n".join(wrong)


def test_the_files_of_one_room_import_each_other_without_a_cycle():
    graph = {module: set(imports(path)) for module, path in MODULES.items()}
    # A cycle is an error of the sorter that names its files.
    assert set(TopologicalSorter(graph).static_order()) == set(MODULES)


def test_the_folders_of_the_systems_import_each_other_without_a_cycle():
    def folder(module: str) -> str:
        return module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]

    graph: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        if room(module) == "systems":
            others = {folder(name) for name in imports(path) if room(name) == "systems"}
            graph.setdefault(folder(module), set()).update(others - {folder(module)})
    assert set(TopologicalSorter(graph).static_order()) == set(graph)


@pytest.mark.parametrize(
    ("module", "refused"),
    [
        ("delineate", HEAVY | {"numpy"}),
        ("delineate.labels", HEAVY | {"numpy"}),
        ("delineate.config", HEAVY | {"numpy"}),
        ("delineate.cli", HEAVY | {"numpy"}),
        ("delineate.io", HEAVY),
        ("delineate.datasets", HEAVY),
        ("delineate.metrics", HEAVY),
        ("delineate.report", HEAVY),
    ],
)
def test_importing_a_light_room_imports_nothing_heavy(module: str, refused: set[str]):
    if find_spec(module) is None:
        pytest.skip(f"{module} is not there yet")
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not refused & set(done.stdout.split())
