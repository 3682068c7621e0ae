"""From a recipe or a YAML file and `key=value` overrides to a Config, or to every mistake."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from delineate.config.mistakes import explain
from delineate.config.overrides import apply_overrides
from delineate.config.places import Place, refuse
from delineate.config.recipes import recipe_path
from delineate.config.schema import Config
from delineate.config.stages import stage_configs
from delineate.config.text_file import read_text
from delineate.config.words import spell
from delineate.config.yaml_text import Reading, read_yaml, write_yaml
from delineate.errors import ConfigError

__all__ = ["dump_config", "load_config"]


def load_config(source: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a recipe by name or a file by path, then the overrides; mistakes are one ConfigError."""
    path, name = _find(source)
    reading = _read(path, name)
    apply_overrides(reading, overrides)
    config = None
    try:
        config = Config.model_validate(reading.data)
    except ValidationError as error:
        known = {m.key for m in reading.mistakes}
        found = explain(error, reading.data, reading.places)
        reading.mistakes += [m for m in found if m.key not in known]
    refuse(reading.mistakes)
    assert config is not None
    config.places.update(reading.places)
    stage_configs(config)  # what a stage says is judged beside what it changes
    return config


def dump_config(config: Config) -> str:
    """Every key and value as YAML; `load_config` reads an equal configuration from it."""
    return write_yaml(config.model_dump(mode="json"))


def _find(source: str | Path) -> tuple[Path, str]:
    """The file, and what messages call it."""
    path = Path(source)
    if path.is_file():
        return path, str(source)
    if path.is_dir() and (path / "config.yaml").is_file():
        raise ConfigError(f"{source} is a folder. Fix: give {path / 'config.yaml'}.")
    if isinstance(source, Path) or path.suffix in (".yaml", ".yml"):
        raise ConfigError(f"{source}: no such file.")
    recipe = recipe_path(source)
    return recipe, recipe.name


def _read(path: Path, name: str) -> Reading:
    reading = read_yaml(read_text(path, name), lambda line: Place(name, line))
    if reading.data is None:
        reading.data = {}
    if not isinstance(reading.data, dict):
        raise ConfigError(f"{name}:1: wants sections of keys, got {spell(reading.data)}.")
    reading.places[()] = Place(name)
    return reading
