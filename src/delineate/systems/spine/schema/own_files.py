"""Networks, losses and steps of one's own: classes in the *.py of a folder, or by import path."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from delineate.config.resolve import resolve
from delineate.errors import ConfigError

__all__ = ["find_own", "own_folders", "own_names"]

PLACES = ("custom", "ml_framework/custom", "ml_framework/ml_framework/custom")
"""Below the folder that one works in, where the documented layout keeps such files."""


def own_folders(model: Path | None, working: Path) -> tuple[Path, ...]:
    """The folders that may hold files of one's own, the one that the experiment names first.

    Args:
        model: `directory.model`.
        working: The folder that one works in.
    """
    named = [] if model is None else [model]
    usual = [working / place for place in PLACES]
    found = [f for place in (*named, *usual) for f in (place, *_inner(place)) if f.is_dir()]
    return tuple(dict.fromkeys(folder.resolve() for folder in found))


def find_own(name: str, folders: Sequence[Path], base: type) -> Any | None:
    """The class called so, or the one of `base` in the file called so; None where there is none.

    A dotted name is imported, from the folder that one works in as well. A file that cannot be
    imported and one that holds several such classes are a ConfigError.
    """
    if "." in name:
        return _imported(name)
    for path in _files(folders):
        if path.stem == name:
            return _of_file(path, name, base)
    for path in _files(folders):
        if f"class {name}" in path.read_text(encoding="utf-8", errors="replace"):
            found = getattr(_load(path), name, None)
            if isinstance(found, type):
                return found
    return None


def own_names(folders: Sequence[Path]) -> list[str]:
    """The stems of the files, for messages."""
    return sorted({path.stem for path in _files(folders)})


def _inner(place: Path) -> Iterable[Path]:
    return sorted(p for p in place.iterdir() if p.is_dir()) if place.is_dir() else ()


def _files(folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        yield from sorted(p for p in folder.glob("*.py") if not p.name.startswith("_"))


def _of_file(path: Path, name: str, base: type) -> Any:
    module = _load(path)
    own = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, base)
        and value.__module__ == module.__name__
    ]
    exact = [value for value in own if value.__name__ == name]
    inner = {parent for value in own for parent in value.__mro__[1:]}
    last = exact or [value for value in own if value not in inner]
    if len(last) != 1:
        held = ", ".join(value.__name__ for value in own) or "none"
        raise ConfigError(
            f"{path}: '{name}' wants one {base.__name__} in here, there are: {held}. "
            "Fix: name the class itself."
        )
    return last[0]


def _load(path: Path) -> ModuleType:
    """The module of a file, run once however often it is asked for."""
    mark = blake2b(str(path.resolve()).encode(), digest_size=6).hexdigest()
    name = f"own_files_{path.stem}_{mark}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _on_path(path.parent):
            spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        fault = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{path} cannot be imported: {fault}") from error
    return module


def _imported(name: str) -> Any:
    with _on_path(Path.cwd()):
        return resolve(name, "delineate")


@contextmanager
def _on_path(folder: Path) -> Iterator[None]:
    """Modules of a folder can be imported by their bare names."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
