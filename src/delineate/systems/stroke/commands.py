"""The command lines of sota_training_pipeline.py and optimized_hybrid_training.py."""

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from delineate.notes import showing_notes
from delineate.plain_errors import plain_errors

if TYPE_CHECKING:
    from delineate.systems.stroke.settings import Settings

__all__ = ["run_direct", "run_pipeline"]

DEFAULT = Path("config", "default.yaml")
"""Read where no other is named, if it is there."""


def run_pipeline(arguments: Sequence[str] | None = None) -> None:
    """Train or evaluate; None takes the words of the command line."""
    parser = ArgumentParser(
        description="Train four networks, each grown out of the one before.", allow_abbrev=False
    )
    add = parser.add_argument
    add("--config", metavar="FILE", help=f"YAML; without it {DEFAULT} is read if it is there")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--progressive", action="store_true", help="all stages: the default")
    what.add_argument("--stage", metavar="NAME", help="one stage alone, such as stage1_basic")
    what.add_argument("--evaluate", metavar="MODEL", help="score a model on its held-out cases")
    words = parser.parse_args(arguments)
    with plain_errors(), showing_notes():
        settings = _settings(words.config)
        if words.evaluate is not None:
            _evaluate(words.evaluate, settings)
            return
        from delineate.groundwork import NoBars
        from delineate.systems.stroke.pipeline import train_pipeline

        out = train_pipeline(settings, stage=words.stage, bars=NoBars())
        print(f"Results: {out}")


def run_direct(arguments: Sequence[str] | None = None) -> None:
    """Train the full network without stages; it takes no words."""
    ArgumentParser(
        description="Train the full network without stages.", allow_abbrev=False
    ).parse_args(arguments)
    with plain_errors(), showing_notes():
        from delineate.groundwork import NoBars
        from delineate.systems.stroke.direct import train_direct

        print(f"Model: {train_direct(_settings(None), bars=NoBars())}")


def _settings(file: str | None) -> "Settings":
    from delineate.systems.stroke.old_yaml import read_config
    from delineate.systems.stroke.settings import Settings, parse_settings

    if file is None and not DEFAULT.is_file():
        return Settings()
    path = DEFAULT if file is None else Path(file)
    return parse_settings(read_config(path), str(path))


def _evaluate(model: str, settings: "Settings") -> None:
    from delineate.groundwork import NoBars
    from delineate.systems.stroke.evaluation import evaluate
    from delineate.systems.stroke.pipeline import RESULTS

    out = evaluate(model, settings.data.data_dir, RESULTS, bars=NoBars())
    print(f"Results: {out}")
