"""Steps that make the truth: masks that are read, classes as numbers and as one-hot vectors."""

from dataclasses import replace

import numpy as np

from delineate.errors import DataError
from delineate.systems.spine.slices.reading import read_mask_of
from delineate.systems.spine.slices.sample import Sample

__all__ = ["Classes", "load_mask", "to_argmax", "to_sigmoid", "to_softmax"]


class Classes:
    """The numbers of the classes, over all sources."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._number = {name: number for number, name in enumerate(names)}

    def number(self, label: str | int | np.ndarray) -> int:
        """Of a class in any form."""
        if isinstance(label, np.ndarray):
            return int(label.argmax())
        return self._number[label] if isinstance(label, str) else int(label)

    def encode(self, sample: Sample) -> Sample:
        """The class as its number."""
        return replace(sample, label=self.number(sample.label))

    def one_hot(self, sample: Sample) -> Sample:
        """The class as a vector with a 1 at its place."""
        return replace(sample, label=self.vector(sample.label))

    def vector(self, label: str | int | np.ndarray) -> np.ndarray:
        """(k) float32; a vector stays as it is, for a step may have made shares of it."""
        if isinstance(label, np.ndarray) and label.ndim == 1:
            return label.astype(np.float32)
        vector = np.zeros(len(self._number), np.float32)
        vector[self.number(label)] = 1
        return vector


def load_mask(sample: Sample) -> Sample:
    """The mask as 0/1, empty where there is none; one of another size is a DataError."""
    item = sample.item
    if item is None or item.label is None:
        return replace(sample, label=np.zeros(sample.size, np.uint8))
    mask = read_mask_of(item.input_path, item.label)
    if mask.shape != sample.size:
        rows, columns = sample.size
        raise DataError(
            f"{item.label}: is {mask.shape[0]}x{mask.shape[1]} but {item.input_path} is "
            f"{rows}x{columns}. Fix: draw a mask on the pixels of its image."
        )
    return replace(sample, label=mask)


def to_softmax(values: np.ndarray) -> np.ndarray:
    """Shares of the channels, which a mask or a grey picture has one of."""
    axis = _channels(values)
    powers = np.exp(values - values.max(axis=axis, keepdims=True))
    return (powers / powers.sum(axis=axis, keepdims=True)).astype(np.float32)


def to_sigmoid(values: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) of each value."""
    return (0.5 * (1 + np.tanh(0.5 * values.astype(np.float32)))).astype(np.float32)


def to_argmax(values: np.ndarray) -> np.ndarray | int:
    """The number of the greatest channel; of a one-hot vector its class."""
    if values.ndim == 1:
        return int(values.argmax())
    return values if values.ndim == 2 else values.argmax(axis=-1)


def _channels(values: np.ndarray) -> int:
    return 0 if values.ndim == 1 else -1
