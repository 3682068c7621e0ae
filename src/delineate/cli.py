"""The front door. A mistake that a user can mend is one message on stderr and exit code 2."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from delineate import __version__
from delineate.commands import cluster, data, models, picture, recipes, results, serving, ship
from delineate.plain_errors import plain_errors

__all__ = ["app", "main"]

app = typer.Typer(
    name="delineate",
    help="Trains, checks and runs medical image segmentation models.",
    epilog="Research software: not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for part in (data, models, cluster, results, picture, ship, serving, recipes):
    app.add_typer(part.app)


def main() -> None:
    """Run the command line."""
    # A user's own network or loss, by import path; last, so that it hides no package.
    sys.path.append(str(Path.cwd()))
    with plain_errors():
        app()


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True)
    ] = False,
) -> None:
    """Trains, checks and runs medical image segmentation models."""
    if show:
        typer.echo(f"delineate {__version__}")
        raise typer.Exit
