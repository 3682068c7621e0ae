"""The command line in this process: words in; exit code, stdout and stderr out."""

import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from unittest.mock import patch

from delineate.cli import main


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


def delineate(*words: object) -> Done:
    """What `delineate WORDS` does; anything but an orderly end is raised."""
    out, err = StringIO(), StringIO()
    argv = ["delineate", *map(str, words)]
    with (
        patch.object(sys, "argv", argv),
        patch.object(sys, "path", [*sys.path]),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            return Done(
                end.code if isinstance(end.code, int) else 0, out.getvalue(), err.getvalue()
            )
    raise AssertionError("the command line ends with an exit code")
