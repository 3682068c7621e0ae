"""`python train_hdf5.py with KEY=VALUE ...`: an experiment of Sacred, or the same words without it.

With Sacred its own commands and options work. Every training is kept below `sacred_runs/`, and in a
MongoDB as well with `-m HOST:PORT:DATABASE`: figures go into Sacred's own collection of metrics, so
that the document of a run stays far below MongoDB's 16 MB however many there are.
"""

import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from delineate.engine.interrupt import Interrupted
from delineate.errors import ConfigError, DelineateError
from delineate.plain_errors import plain_errors
from delineate.systems.sadaan.command_line import CommandLine, show_settings
from delineate.systems.sadaan.settings import Settings, read_settings

if TYPE_CHECKING:
    from sacred import Experiment

__all__ = ["main", "make_experiment"]

RUNS = "sacred_runs"
FIX = 'Fix: pip install "delineate[sacred]"'
COMMANDS = ("print_config", "train")
"""What there is without Sacred."""
MOST_TEXT = 2_000_000
"""Characters of a run's output that are kept: they lie in the document of the run."""


class _Failed(BaseException):
    """Carries a mistake of the user past Sacred, which would print a traceback."""

    def __init__(self, why: DelineateError) -> None:
        super().__init__(str(why))
        self.why = why


class _Ended(KeyboardInterrupt):
    """Tells Sacred that a training was interrupted."""

    def __init__(self, why: Interrupted) -> None:
        super().__init__(str(why))
        self.why = why


def main(words: Sequence[str] | None = None) -> None:
    """Do what the words behind the program's name say; mistakes are a message and exit code 2."""
    words = list(sys.argv[1:] if words is None else words)
    with plain_errors():
        line = CommandLine.read(words)
        settings = read_settings(line.values)
        if (missing := _missing_sacred()) is None:
            _run_observed(words, line)
        else:
            _run_alone(line, settings, missing)


def make_experiment(*, files: bool = True) -> "Experiment":
    """The experiment `sadaan`, whose main command trains.

    Args:
        files: Whether its runs are kept below `sacred_runs/`.
    """
    from sacred import SETTINGS, Experiment
    from sacred.observers import FileStorageObserver

    # Reading processes would hold the pipe of 'fd' open.
    settings: Any = SETTINGS
    settings.CAPTURE_MODE = "sys"
    experiment = Experiment("sadaan", save_git_info=False)
    for package in ("delineate", "torch", "lightning", "numpy", "h5py"):
        # Sacred refuses the local part of a version such as 2.13.0+cpu.
        experiment.add_package_dependency(package, version(package).partition("+")[0])
    experiment.captured_out_filter = _shorten  # pyright: ignore[reportAttributeAccessIssue]
    experiment.add_config(Settings().plain())
    if files:
        experiment.observers.append(FileStorageObserver(RUNS))

    @experiment.main
    def train(_config: Mapping[str, Any], _run: Any) -> dict[str, float]:
        from delineate.systems.sadaan.training import train

        try:
            return train(read_settings(_config), _run).figures
        except DelineateError as error:
            raise _Failed(error) from error
        except Interrupted as stop:
            raise _Ended(stop) from stop

    return experiment


def _run_observed(words: Sequence[str], line: CommandLine) -> None:
    own = any(word.startswith(("-F", "--file_storage")) for word in line.others)
    try:
        make_experiment(files=not own).run_commandline(["train_hdf5.py", *words])
    except (_Failed, _Ended) as carrier:
        raise carrier.why from None


def _run_alone(line: CommandLine, settings: Settings, missing: str) -> None:
    """Without Sacred: train, or print the configuration."""
    if line.others:
        raise ConfigError(f"{line.others[0]}: {missing}, which reads this. {FIX}")
    if line.command not in (None, *COMMANDS):
        raise ConfigError(
            f"{line.command}: {missing}. Without it there are: {', '.join(COMMANDS)}. {FIX}"
        )
    if line.command == "print_config":
        print(f"Configuration:\n{show_settings(settings.plain())}")
        return
    print(f"{missing}: nothing is kept below {RUNS}/. {FIX}", file=sys.stderr)
    from delineate.systems.sadaan.training import train

    train(settings)


def _missing_sacred() -> str | None:
    """What keeps Sacred from being imported; it needs a package that it does not ask for."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
            import_module("sacred")
    except ModuleNotFoundError as error:
        if error.name == "sacred":
            return "Sacred is not installed"
        if error.name == "pkg_resources":
            return "Sacred needs pkg_resources, of setuptools below 81, which is not installed"
        raise
    return None


def _shorten(text: str) -> str:
    """The beginning and the end of a long output."""
    if len(text) <= MOST_TEXT:
        return text
    half = MOST_TEXT // 2
    return f"{text[:half]}\n... {len(text) - MOST_TEXT} characters are left out ...\n{text[-half:]}"
