"""The recipes that come with the package: complete configurations, known by name."""

from pathlib import Path

from delineate.config.words import did_you_mean
from delineate.errors import ConfigError

__all__ = ["list_recipes", "recipe_path"]

FOLDER = Path(__file__).parents[1] / "recipes"


def list_recipes() -> dict[str, str]:
    """Every recipe's name and what it is for, the first comment line of its file."""
    return {name: _description(path) for name, path in sorted(_recipes().items())}


def recipe_path(name: str) -> Path:
    """The file of a recipe; an unknown name is a ConfigError that lists them all."""
    recipes = _recipes()
    if name not in recipes:
        raise ConfigError(
            f"no recipe and no file is called '{name}'.{did_you_mean(name, recipes)} "
            f"Recipes: {', '.join(sorted(recipes))}."
        )
    return recipes[name]


def _recipes() -> dict[str, Path]:
    return {p.relative_to(FOLDER).with_suffix("").as_posix(): p for p in FOLDER.rglob("*.yaml")}


def _description(path: Path) -> str:
    with path.open(encoding="utf-8") as lines:
        return next((ln.lstrip("# ").strip() for ln in lines if ln.startswith("#")), "")
