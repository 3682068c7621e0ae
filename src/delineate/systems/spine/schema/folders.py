"""Where data, logs, weights and networks lie, as a file and the command line say."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from delineate.config.words import did_you_mean
from delineate.errors import ConfigError
from delineate.systems.spine.schema.settings import Directory
from delineate.systems.spine.schema.yaml_file import Document, include, is_windows_path, names_file

__all__ = ["with_folders"]

log = logging.getLogger("delineate")
DEFAULTS = {"log": "logs", "weights": "weights", "data": "data"}


def with_folders(document: Document, given: Mapping[str, str]) -> Document:
    """The document with its section `directory` as absolute paths.

    Those that a file says count from where it lies; those of the command line, and the defaults
    `logs`, `weights` and `data`, from the current folder. With one of the command line, the file
    that `directory` names may be missing.
    """
    _refuse_unknown(given)
    document = _included(document, bool(given))
    said = document.data.get("directory") or {}
    place = document.places.get(("directory",))
    if not isinstance(said, Mapping):
        raise ConfigError(f"{place}: directory wants log, weights and data, or the name of a file.")
    beside = Path(place.source if place else document.path).absolute().parent
    here = {key: _absolute(value, Path.cwd()) for key, value in given.items()}
    there = {key: _absolute(value, beside) for key, value in said.items() if value is not None}
    for key, value in there.items():
        if key not in here and os.name != "nt" and is_windows_path(value):
            log.warning(
                "%s: directory.%s is of Windows: %s. Fix: --directory %s=DIR",
                place,
                key,
                value,
                key,
            )
    defaults = {key: _absolute(value, Path.cwd()) for key, value in DEFAULTS.items()}
    return Document(
        {**document.data, "directory": defaults | there | here}, document.places, document.path
    )


def _refuse_unknown(given: Mapping[str, str]) -> None:
    known = list(Directory.model_fields)
    for key in given:
        if key not in known:
            near = did_you_mean(key, known)
            raise ConfigError(
                f"--directory {key}: no such folder.{near} There are: {', '.join(known)}."
            )


def _included(document: Document, may_miss: bool) -> Document:
    """The document with the folders of the file that it names."""
    if not names_file(document.data.get("directory")):
        return document
    try:
        return include(document, "directory")
    except ConfigError as error:
        if "no such file" not in str(error):
            raise
        if not may_miss:
            raise ConfigError(
                f"{error}\n  Fix: --directory data=DIR (and log=DIR, weights=DIR, model=DIR), or "
                "--directory FILE.yaml with these keys."
            ) from None
        return Document({**document.data, "directory": {}}, document.places, document.path)


def _absolute(value: Any, beside: Path) -> Any:
    if not isinstance(value, str) or is_windows_path(value):
        return value
    return os.path.normpath(beside / Path(value).expanduser())
