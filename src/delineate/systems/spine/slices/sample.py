"""A slice on its way through the steps, and what a step is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from delineate.systems.spine.slices.rows import Slice

__all__ = ["Apply", "Sample", "Task", "Work", "is_mask"]

Task = Literal["classification", "segmentation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A picture and its label."""

    image: np.ndarray
    """(rows, columns), or (rows, columns, channels) where there are several."""
    label: Any
    """A mask (rows, columns) uint8 0/1; a class as a word, number or one-hot vector; the path of a
    mask that is not read yet; None where nothing is known."""
    item: Slice | None
    """What it is made of; None of a picture from elsewhere."""
    size: tuple[int, int]
    """Rows and columns as decoded."""
    number: int = 0
    """Counts on through the epochs."""
    channels_first: bool = False
    """Whether steps of one's own are handed tensors, (channels, rows, columns)."""


Apply = Callable[[Sample, np.random.Generator], Sample]
"""From a sample and a stream of chance to the next sample; what was given stays as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A step, ready to be applied."""

    name: str
    apply: Apply
    key: str = ""
    """All that its result depends on besides the sample, as text."""
    drawn: bool = False
    """Whether it depends on chance, or cannot be known not to."""
    foreign: bool = False
    """Whether it draws from the generators of Python, NumPy and PyTorch."""
    of_class: bool = False
    """Whether it turns a class into another form of it and touches nothing else."""
    moves: bool = False
    """Whether it moves pixels: cuts, resizes, turns, bends."""


def is_mask(label: Any) -> bool:
    """Whether a label is a mask that has been read."""
    return isinstance(label, np.ndarray) and label.ndim == 2
