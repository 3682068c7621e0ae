"""Arguments that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = ["Data", "Device", "Figures", "MemoryGb", "Overrides", "Recipe", "Trusted", "Wanted"]

Data = Annotated[Path, typer.Argument(help="The folder of the data set, or a table of its files.")]
Device = Annotated[
    Literal["auto", "cpu", "cuda"],
    typer.Option("--device", help="auto (a GPU where there is one), cpu or cuda."),
]
Figures = Annotated[Path | None, typer.Option("--json", help="Write all figures here.")]
MemoryGb = Annotated[
    float | None,
    typer.Option(
        "--memory-gb", min=0.1, help="The most that may be held while windows are predicted."
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...", help="Keys of the recipe, such as train.budget=10min."
    ),
]
Recipe = Annotated[str, typer.Option("--recipe", "-r", help="A recipe by name, or a YAML file.")]
Trusted = Annotated[
    list[str] | None,
    typer.Option("--trust", help="A package whose own networks may be run, such as my_lab."),
]
Wanted = Annotated[str, typer.Argument(help="A recipe by name, or a YAML file.")]
