"""What can be written in a recipe, and the recipes that there are."""

from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer()
recipes_app = typer.Typer(help="The recipes that come with the package.", no_args_is_help=True)
app.add_typer(recipes_app, name="recipes")


@app.command()
def schema() -> None:
    """Print the JSON Schema of a recipe, for an editor to complete the YAML."""
    from json import dumps

    from delineate.config import json_schema

    typer.echo(dumps(json_schema(), indent=2))


@recipes_app.command("list")
def list_all() -> None:
    """Name every recipe and what it is for."""
    from delineate.config import list_recipes

    recipes = list_recipes()
    width = max(map(len, recipes))
    for name, purpose in recipes.items():
        typer.echo(f"{name.ljust(width)}  {purpose}")


@recipes_app.command("show")
def show_one(name: Annotated[str, typer.Argument(help="The name of a recipe.")]) -> None:
    """Print the YAML of a recipe, to start your own from."""
    from delineate.config import recipe_path

    typer.echo(recipe_path(name).read_text(encoding="utf-8"), nl=False)
