"""Steps of one's own: any class that is called with an array, `BasePreprocess` above all.

It is handed (rows, columns, channels) of the picture, or a tensor (channels, rows, columns) behind
`tv.ToImage` and `alb.ToTensorV2`; a mask has one channel. What it draws from the generators of
Python, NumPy and PyTorch is the same for picture and mask.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from delineate.augment.conventions import seeded
from delineate.errors import ConfigError
from delineate.systems.spine.schema.named_arguments import arguments
from delineate.systems.spine.slices.sample import Sample, Work, is_mask

__all__ = ["own_step", "own_work"]

Own = Callable[[Any], Any]


def own_step(kind: Any, params: Mapping[str, Any], *, where: str) -> Own:
    """The object that is called."""
    given = arguments(kind, params, where=where)
    try:
        step = kind(**given)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {kind.__name__} refuses its arguments: {error}") from error
    if not callable(step):
        raise ConfigError(f"{where}: {kind.__name__} has no __call__(self, data).")
    return step


def own_work(step: Own, target: tuple[str, ...], *, where: str) -> Work:
    """The step; picture and mask see the same chance."""

    def apply(sample: Sample, rng: np.random.Generator) -> Sample:
        seed = int(rng.integers(1 << 32))
        image, label = sample.image, sample.label
        if "data" in target:
            with seeded(seed):
                image = _back(step(_handed(image, sample.channels_first)), where)
        if "label" in target and label is not None:
            with seeded(seed):
                if is_mask(label):
                    moved = _back(step(_handed(label, sample.channels_first)), where)
                    label = (_one(moved, where) > 0.5).astype(np.uint8)
                else:
                    label = step(label)
        return replace(sample, image=image, label=label)

    return Work(name=type(step).__name__, apply=apply, drawn=True)


def _handed(array: np.ndarray, channels_first: bool) -> np.ndarray | Tensor:
    deep = array if array.ndim == 3 else array[..., None]
    if not channels_first:
        return deep.copy()
    return torch.from_numpy(np.moveaxis(deep, -1, 0).copy())


def _back(found: Any, where: str) -> np.ndarray:
    """Its answer as (rows, columns[, channels])."""
    if isinstance(found, Tensor):
        array = found.detach().cpu().numpy()
        array = np.moveaxis(array, 0, -1) if array.ndim == 3 else array
    else:
        array = np.asarray(found)
    if array.ndim not in (2, 3) or array.dtype.kind not in "uifb":
        raise ConfigError(
            f"{where}: made an array of {array.shape} and type {array.dtype}. Fix: return an image "
            "as it was handed in, (rows, columns, channels), or a tensor with channels first."
        )
    one = array.ndim == 3 and array.shape[-1] == 1
    return np.ascontiguousarray(array[..., 0] if one else array)


def _one(mask: np.ndarray, where: str) -> np.ndarray:
    if mask.ndim != 2:
        raise ConfigError(f"{where}: made a mask of {mask.shape}. Fix: keep its one channel.")
    return mask
