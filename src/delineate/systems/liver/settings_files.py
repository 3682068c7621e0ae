"""Settings from files: flat JSON, and the hparams.yaml of a run."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from delineate.config.places import Mistake, Place, Places, refuse
from delineate.config.text_file import read_text
from delineate.config.words import spell
from delineate.config.yaml_text import read_yaml
from delineate.errors import ConfigError
from delineate.systems.checked import Checked, mistakes

__all__ = ["read_settings"]

log = logging.getLogger("delineate")
Settings = TypeVar("Settings", bound=Checked)


def read_settings(
    cls: type[Settings], path: str | Path | None = None, **overrides: Any
) -> Settings:
    """Settings of a class: the overrides over a file over the defaults.

    A .yaml file is the record of a run: it may name Python objects, none of which is made, and keys
    that are unknown are told and left out. In any other file they are a ConfigError.

    Args:
        path: JSON with keys at its top, or hparams.yaml, where they may stand under `config`; None
            reads no file.
        overrides: None is no value: a word that the command line does not say.
    """
    given, places = ({}, {}) if path is None else _read(Path(path))
    record = path is not None and Path(path).suffix in (".yaml", ".yml")
    if record:
        given = _known(cls, given, str(path))
    said = {name: value for name, value in overrides.items() if value is not None}
    refuse(
        Mistake((name,), None if name in said else places.get((name,)), text)
        for name, text in mistakes(cls, given | said)
    )
    try:
        return cls(**given | said)
    except ConfigError as error:  # values that do not go together
        raise ConfigError(f"{path}: {error}" if path is not None else str(error)) from None


def _read(path: Path) -> tuple[dict[str, Any], Places]:
    """The keys of a file, and the lines they stand in."""
    if path.suffix == ".py":
        raise ConfigError(f"{path}: settings are not read from code. Fix: a .json file of keys.")
    # JSON is YAML; tabs, which only JSON allows, are between its words.
    reading = read_yaml(read_text(path).replace("\t", " "), lambda line: Place(str(path), line))
    given: Any = {} if reading.data is None else reading.data
    places = reading.places
    if isinstance(given, Mapping) and isinstance(given.get("config"), Mapping):
        given = given["config"]
        places = {key[1:]: place for key, place in places.items() if key[:1] == ("config",)}
    if not isinstance(given, dict):
        raise ConfigError(f"{path}: wants keys and values, got {spell(given)}.")
    if path.suffix not in (".yaml", ".yml"):
        refuse(reading.mistakes)
    return given, places


def _known(cls: type[Any], given: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The keys that the class has; the others are told."""
    known = cls.__dataclass_fields__
    unknown = [key for key in given if key not in known]
    if unknown:
        log.warning("%s: left out, no keys of %s: %s", name, cls.__name__, ", ".join(unknown))
    return {key: value for key, value in given.items() if key in known}
