"""What Lightning says while it trains: without its usual warnings, and mistakes in our words."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from lightning.fabric.utilities.exceptions import MisconfigurationException

from delineate.errors import ConfigError

__all__ = ["hushed", "plain_mistakes", "quiet"]

_USUAL = (
    "does not have many workers",  # what the loader has is the user's choice
    "LeafSpec",
    "have no `val_dataloader`",
    "The `srun` command is available",
    "Checkpoint directory .* exists and is not empty",  # is said with what becomes of it
)
"""Warnings of Lightning's that are no news."""


@contextmanager
def quiet(*more: str) -> Iterator[None]:
    """Without the warnings that are no news, and those that match `more`."""
    with warnings.catch_warnings():
        for message in (*_USUAL, *more):
            warnings.filterwarnings("ignore", message=f".*{message}")
        yield


@contextmanager
def hushed(who: str = "lightning.pytorch", *, least: int = logging.WARNING) -> Iterator[None]:
    """Without what somebody tells of itself; its warnings stay, or what is `least`."""
    told = logging.getLogger(who)
    level = told.level
    told.setLevel(least)
    try:
        yield
    finally:
        told.setLevel(level)


@contextmanager
def plain_mistakes() -> Iterator[None]:
    """What Lightning finds wrong with what it was given is the user's to mend."""
    try:
        yield
    except MisconfigurationException as error:
        raise ConfigError(str(error)) from error
