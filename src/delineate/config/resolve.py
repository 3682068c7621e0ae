"""The import path is the registry: a bare name is of one package, a dotted one is imported."""

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

from delineate.config.words import did_you_mean
from delineate.errors import ConfigError, MissingExtra

__all__ = ["resolve"]

EXTRAS = ("albumentations", "monai", "timm")
"""Packages that an extra of the same name brings."""


def resolve(name: str, package: str) -> Callable[..., Any]:
    """The class or function of that name; an unknown one is a ConfigError with the near names."""
    if "." not in name:
        return _look_up(name, import_module(package))
    module, rest = _import_longest(name)
    found: Any = module
    for i, step in enumerate(rest):
        if not hasattr(found, step):
            where = ".".join([module.__name__, *rest[:i]])
            raise ConfigError(f"{where} has no '{step}'.{did_you_mean(step, _public(found))}")
        found = getattr(found, step)
    if not callable(found):
        raise ConfigError(f"'{name}' is a {type(found).__name__}, not a class or a function.")
    return found


def _look_up(name: str, package: ModuleType) -> Callable[..., Any]:
    names = _public(package)
    if name in names:
        return getattr(package, name)
    raise ConfigError(
        f"{package.__name__} has no '{name}'.{did_you_mean(name, names)} "
        f"It has: {', '.join(names)}. Another package's part is named in full: package.{name}."
    )


def _public(owner: Any) -> list[str]:
    """The names of classes and functions that a module or a class offers."""
    names = getattr(owner, "__all__", None) or [n for n in dir(owner) if not n.startswith("_")]
    return sorted(n for n in names if callable(getattr(owner, n, None)))


def _import_longest(name: str) -> tuple[ModuleType, list[str]]:
    """The deepest module on the path, and the attributes that are left."""
    steps = name.split(".")
    if not all(step.isidentifier() for step in steps):
        raise ConfigError(f"'{name}' is not an import path such as my_lab.nets.TinyUNet.")
    for length in range(len(steps) - 1, 0, -1):
        module = _import(".".join(steps[:length]))
        if module is not None:
            return module, steps[length:]
    raise ConfigError(_say_missing(steps[0]))


def _import(path: str) -> ModuleType | None:
    """The module, None where there is none; a module that breaks on import is a ConfigError."""
    try:
        return import_module(path)
    except Exception as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and (path == missing or path.startswith(f"{missing}.")):
            return None
        fault = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{path} cannot be imported: {fault}") from error


def _say_missing(package: str) -> str:
    if package in EXTRAS:
        return str(MissingExtra(package, package))
    return f"there is no module '{package}'. Fix: install it, or start in the folder that holds it."
