"""What a user can fix. Each error says where, what, got and fix; the terminal prints it plainly."""

from importlib import import_module
from types import ModuleType

__all__ = ["ConfigError", "DataError", "DelineateError", "MissingExtra", "PlanError", "require"]


class DelineateError(Exception):
    """A mistake that the user can mend: printed without a traceback, exit code 2."""


class ConfigError(DelineateError):
    """What was asked for cannot be done: an unknown key, a wrong type, a bad combination."""


class DataError(DelineateError):
    """A file or a folder cannot be read as it should be."""


class PlanError(DelineateError):
    """No plan fits the data and the machine, or a plan file is broken."""


class MissingExtra(DelineateError):
    """An optional package is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f'{package} is not installed. Fix: pip install "delineate[{extra}]"')


def require(package: str, *, extra: str) -> ModuleType:
    """Import an optional package, or say which extra brings it."""
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        if error.name is None or not package.startswith(error.name):
            raise
        raise MissingExtra(package, extra) from None
