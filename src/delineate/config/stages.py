"""The configuration of a stage: the one around it, with what the stage changes put in."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from delineate.config.mistakes import explain
from delineate.config.overrides import KEPT
from delineate.config.places import Mistake, Places, refuse
from delineate.config.schema import Config

__all__ = ["stage_configs"]


def stage_configs(config: Config) -> tuple[Config, ...]:
    """What each stage trains with, in order; all that is wrong with them is one ConfigError.

    A section is changed key by key, a list is replaced, and a part of another name loses the
    arguments of the old one, as on the command line.
    """
    around = config.model_dump(mode="json", exclude={"stages"}) if config.stages else {}
    found: list[Config] = []
    mistakes: list[Mistake] = []
    for i, stage in enumerate(config.stages):
        changed = {key: _put(around[key], change) for key, change in stage.changes.items()}
        data, places = around | changed, _places(config.places, i)
        try:
            made = Config.model_validate(data)
        except ValidationError as error:
            said = explain(error, data, places)
            mistakes += [replace(m, text=f"stage '{stage.name}': {m.text}") for m in said]
        else:
            made.places.update(places)
            found.append(made)
    refuse(mistakes)
    return tuple(found)


def _put(around: Any, change: Any) -> Any:
    """A section or a part with its changes; a list is replaced."""
    if not isinstance(change, Mapping):
        return change
    kept = around
    if change.get("name", around.get("name")) != around.get("name"):
        kept = {key: value for key, value in around.items() if key in KEPT}
    return {**kept, **change}


def _places(places: Places, number: int) -> Places:
    """Where each key of the stage stands; what it does not say stands where it is said for all."""
    around = {key: place for key, place in places.items() if key[:1] != ("stages",)}
    own = {key[2:]: at for key, at in places.items() if key[:2] == ("stages", number) and key[2:]}
    return around | own
