"""Adds `custom` to delineate's package of this name, which has base, command, constants, utils."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
