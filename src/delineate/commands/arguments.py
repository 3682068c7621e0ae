"""Arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Data", "Overrides", "Recipe", "Wanted"]

Data = Annotated[Path, typer.Argument(help="The folder of the data set, or a table of its files.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...", help="Keys of the recipe, such as train.budget=10min."
    ),
]
Recipe = Annotated[str, typer.Option("--recipe", "-r", help="A recipe by name, or a YAML file.")]
Wanted = Annotated[str, typer.Argument(help="A recipe by name, or a YAML file.")]
