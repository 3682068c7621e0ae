"""`alb.NAME`: any transform of albumentations 1.3, applied by that library itself.

Image and mask go through one call, so they share what is drawn; a mask is moved by nearest
neighbour and stays 0/1. Names of arguments that later versions gave are understood where they mean
the same.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from delineate.config.arguments import parameters
from delineate.config.words import did_you_mean
from delineate.errors import ConfigError, DataError, require
from delineate.systems.spine.schema.named_arguments import arguments
from delineate.systems.spine.slices.sample import Sample, Work, is_mask

__all__ = ["build_albumentations"]

FIXED = frozenset(
    {"CenterCrop", "Crop", "FromFloat", "LongestMaxSize", "Normalize", "PadIfNeeded", "Resize"}
    | {"SmallestMaxSize", "ToFloat", "ToGray", "ToTensorV2"}
)
"""Transforms without chance in them where p is 1."""
_PAIRS = {
    "num_holes_range": ("min_holes", "max_holes"),
    "hole_height_range": ("min_height", "max_height"),
    "hole_width_range": ("min_width", "max_width"),
    "quality_range": ("quality_lower", "quality_upper"),
    "scale_range": ("scale_min", "scale_max"),
    "size": ("height", "width"),
}
_SINGLE = {
    "fill": ("fill_value", "value"),
    "fill_mask": ("mask_fill_value", "mask_value"),
}


def build_albumentations(
    name: str, params: Mapping[str, Any], target: tuple[str, ...], *, where: str
) -> Work:
    """The step of one transform.

    Args:
        name: Without `alb.`.
        params: Of its constructor.
        target: data, label or both.
        where: What messages begin with.
    """
    if name == "ToTensorV2":
        # The library's own wants torchvision.
        arguments(_to_tensor, params, where=where)
        return Work(name=f"alb.{name}", apply=lambda s, _: replace(s, channels_first=True))
    library = require("albumentations", extra="albumentations")
    kind = _kind(library, name, where)
    given = arguments(kind, _renamed(kind, params), where=where)
    try:
        transform = kind(**given)
    except (TypeError, ValueError, AssertionError) as error:
        raise ConfigError(f"{where}: alb.{name} refuses its arguments: {error}") from None
    moves = issubclass(kind, library.DualTransform)
    always = transform.always_apply or transform.p >= 1
    chance = not always or name not in FIXED or isinstance(given.get("max_size"), list)
    chance = chance or given.get("position") == "random"
    # Without chance in it, a call would draw a number to compare with p all the same.
    run = transform if chance else partial(_certain, transform)
    call = _call(run, f"{where}: alb.{name}", target, moves=moves)
    return Work(
        name=f"alb.{name}",
        apply=lambda sample, _: call(sample),
        drawn=chance,
        foreign=chance,
        moves=moves and not name.endswith("Dropout"),
    )


def _to_tensor(*, transpose_mask: bool = False, always_apply: bool = True, p: float = 1.0) -> None:
    """What ToTensorV2 takes; here a mask has its one channel first whatever is said."""


def _kind(library: Any, name: str, where: str) -> type:
    kinds = {
        key: value
        for key, value in vars(library).items()
        if isinstance(value, type) and issubclass(value, library.BasicTransform)
    }
    if name in kinds:
        return kinds[name]
    raise ConfigError(
        f"{where}: albumentations {library.__version__} has no '{name}'."
        f"{did_you_mean(name, kinds)} Fix: take one of its transforms, or name a class of yours."
    )


def _renamed(kind: type, params: Mapping[str, Any]) -> dict[str, Any]:
    """The params by the names of this version, where only later ones have the names given."""
    known, found = parameters(kind), {}
    for name, value in params.items():
        if name in known:
            found[name] = value
        elif name in _PAIRS and set(_PAIRS[name]) <= known.keys() and _is_pair(value):
            found |= dict(zip(_PAIRS[name], value, strict=True))
        elif own := [other for other in _SINGLE.get(name, ()) if other in known]:
            found[own[0]] = value
        elif name == "std_range" and "var_limit" in known and _is_pair(value):
            found["var_limit"] = [(255 * share) ** 2 for share in value]
        else:
            found[name] = value
    return found


def _is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2


def _certain(transform: Any, **given: Any) -> dict[str, Any]:
    return transform.apply_with_params(transform.get_params(), **given)


def _call(
    transform: Any, where: str, target: tuple[str, ...], *, moves: bool
) -> Callable[[Sample], Sample]:
    """How it is called for these targets."""
    on_image, on_label = "data" in target, "label" in target

    def call(sample: Sample) -> Sample:
        given: dict[str, Any] = {"image": sample.image}
        with_mask = on_label and is_mask(sample.label)
        if with_mask:
            given["mask"] = sample.label
            given["image"] = sample.image if on_image else sample.label
        elif not on_image:
            return sample
        try:
            found = transform(**given)
        except Exception as error:  # whatever the library meets in these pixels or arguments
            name = "a picture" if sample.item is None else sample.item.input_path
            shape = "x".join(map(str, sample.image.shape))
            raise DataError(
                f"{where}: cannot be done to {name} ({shape} {sample.image.dtype}): {error}"
            ) from error
        image, mask = sample.image, sample.label
        if on_image:
            image = found["image"]
        if with_mask and moves:
            mask = found["mask"]
        if image is sample.image and mask is sample.label:
            return sample
        return replace(sample, image=image, label=mask)

    return call
