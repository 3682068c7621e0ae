"""The command `ml_framework`. A mistake that a user can mend is one message and exit code 2."""

import sys
from pathlib import Path

import typer

from delineate.plain_errors import plain_errors
from ml_framework.command import cascade, evaluate, new, predict, train

__all__ = ["app", "main"]

app = typer.Typer(
    name="ml_framework",
    help="Trains networks on slices as YAML files say, scores them, and predicts with them.",
    epilog="On delineate. Research software: not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for part in (train, evaluate, predict, cascade, new):
    app.command()(getattr(part, part.__name__.rpartition(".")[2]))


def main() -> None:
    """Run the command line."""
    # A user's own network or loss, by import path; last, so that it hides no package.
    sys.path.append(str(Path.cwd()))
    with plain_errors():
        app()
