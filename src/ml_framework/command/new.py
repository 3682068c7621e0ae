"""A folder to work in."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["new"]


def new(
    folder: Annotated[Path, typer.Argument(help="An empty or new folder.")] = Path("training"),
) -> None:
    """Write the experiments, data sets and folders that come with this program, to change them."""
    from delineate.systems.spine.schema.shipped import write_shipped

    count = write_shipped(folder)
    typer.echo(f"{count} files in {folder}")
