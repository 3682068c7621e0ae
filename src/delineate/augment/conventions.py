"""How the transforms of other libraries are called, each with one sample on the CPU.

None of the libraries is imported before one of its transforms is there.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from inspect import signature
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["LIBRARIES", "Call", "Pair", "seeded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One sample as these libraries know it."""

    image: Tensor
    """(c, *s)"""
    label: Tensor | None
    """(1, *s) ids or (k, *s) 0/1, 16-bit integers."""
    spacing: tuple[float, ...]
    seed: int


Call = Callable[[Any, Pair], tuple[Any, Any]]
"""From a library's transform and a sample to the new image and label."""


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The global generators of Python, NumPy and PyTorch's CPU at this seed, and then as before."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 # theirs
    try:
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 # what these libraries draw from
        # torch.manual_seed would seed every accelerator too.
        torch.default_generator.manual_seed(seed)
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002 # as above
        torch.set_rng_state(before[2])


def _batchgenerators(transform: Any) -> Call:
    return _call_batchgenerators


def _call_batchgenerators(transform: Any, pair: Pair) -> tuple[Any, Any]:
    given = {"image": pair.image}
    if pair.label is not None:
        given["segmentation"] = pair.label
    found = transform(**given)
    return found["image"], found.get("segmentation")


def _monai(transform: Any) -> Call:
    """Dictionary transforms take both; array ones the image, and the label too if they move it."""
    form = _monai_form(transform)
    if form == "dictionary":
        wrong = sorted({str(k) for k in _keys(transform)} - {"image", "label"})
        if wrong:
            raise ValueError(
                f"augment: {type(transform).__name__} wants the keys {', '.join(wrong)}. "
                "Fix: a sample has the keys image and label."
            )
        return _call_monai_dictionary
    if form == "spatial":
        return _call_monai_spatial
    if form == "intensity":
        return _call_monai_intensity
    raise ValueError(
        f"augment: whether {type(transform).__name__} moves labels cannot be told. "
        "Fix: take its dictionary form (its name with a d), with keys: [image, label] or [image]."
    )


def _monai_form(transform: Any) -> str:
    if hasattr(transform, "keys"):
        return "dictionary"
    inner = getattr(transform, "transforms", None)
    if inner:
        forms = {_monai_form(t) for t in inner}
        return "dictionary" if forms == {"dictionary"} else "mixed"
    modules = [kind.__module__.split(".") for kind in type(transform).__mro__]
    for form in ("spatial", "intensity"):
        if any(steps[0] == "monai" and form in steps for steps in modules):
            return form
    return "unknown"


def _keys(transform: Any) -> Iterator[Any]:
    if hasattr(transform, "keys"):
        yield from transform.keys
    for inner in getattr(transform, "transforms", ()):
        yield from _keys(inner)


def _seed_monai(transform: Any, seed: int) -> None:
    """Its random transforms have generators of their own."""
    if hasattr(transform, "set_random_state"):
        transform.set_random_state(seed=seed)


def _call_monai_dictionary(transform: Any, pair: Pair) -> tuple[Any, Any]:
    _seed_monai(transform, pair.seed)
    given = {"image": pair.image}
    if pair.label is not None:
        given["label"] = pair.label
    found = transform(given)
    if not isinstance(found, dict):
        raise ValueError(
            f"augment: {type(transform).__name__} makes several samples of one. "
            "Fix: patches are cut by the engine; leave it out."
        )
    return found["image"], found.get("label")


def _call_monai_intensity(transform: Any, pair: Pair) -> tuple[Any, Any]:
    _seed_monai(transform, pair.seed)
    return transform(pair.image), pair.label


def _call_monai_spatial(transform: Any, pair: Pair) -> tuple[Any, Any]:
    _seed_monai(transform, pair.seed)
    image = transform(pair.image)
    if pair.label is None:
        return image, None
    nearest = {"mode": "nearest"} if "mode" in signature(transform.__call__).parameters else {}
    with seeded(pair.seed):
        _seed_monai(transform, pair.seed)
        return image, transform(pair.label, **nearest)


def _torchio(transform: Any) -> Call:
    return _call_torchio


def _call_torchio(transform: Any, pair: Pair) -> tuple[Any, Any]:
    """Its volumes have three axes: a picture gets one of a single voxel."""
    torchio = import_module("torchio")
    flat = len(pair.spacing) == 2
    affine = np.diag([*pair.spacing, *([1.0] if flat else []), 1.0])

    def volume(tensor: Tensor) -> Tensor:
        return tensor[..., None] if flat else tensor

    images = {"image": torchio.ScalarImage(tensor=volume(pair.image), affine=affine)}
    if pair.label is not None:
        images["label"] = torchio.LabelMap(tensor=volume(pair.label), affine=affine)
    found = transform(torchio.Subject(images))
    data = [found[name].data if name in images else None for name in ("image", "label")]
    image, label = (d.squeeze(-1) if flat and d is not None else d for d in data)
    return image, label


def _albumentations(transform: Any) -> Call:
    return _call_albumentations


def _call_albumentations(transform: Any, pair: Pair) -> tuple[Any, Any]:
    """Its pictures have their channels last; from version 2 on, generators are its own."""
    if len(pair.spacing) != 2:
        raise ValueError(
            f"augment: {type(transform).__name__} of albumentations is for pictures, but patches "
            f"have {len(pair.spacing)} axes. Fix: plan.dims=2, or another transform."
        )
    if hasattr(transform, "set_random_seed"):
        transform.set_random_seed(pair.seed)
    given = {"image": np.ascontiguousarray(pair.image.movedim(0, -1).numpy())}
    if pair.label is not None:
        given["mask"] = np.ascontiguousarray(pair.label.movedim(0, -1).numpy())
    found = transform(**given)
    image, label = (_channels_first(found.get(name)) for name in ("image", "mask"))
    return image, label


def _channels_first(array: Any) -> Tensor | None:
    if array is None:
        return None
    array = array if array.ndim == 3 else array[..., None]
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(array, -1, 0)))


LIBRARIES: dict[str, Callable[[Any], Call]] = {
    "albumentations": _albumentations,
    "batchgeneratorsv2": _batchgenerators,
    "monai": _monai,
    "torchio": _torchio,
}
"""How the transforms of each library are called; asking so may refuse one."""
