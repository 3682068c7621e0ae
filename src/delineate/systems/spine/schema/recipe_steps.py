"""Random steps of an experiment as transforms of ours; prepared sizes as the size of a sample."""

from collections.abc import Callable, Mapping
from typing import Any

from delineate.systems.spine.schema.settings import Data

__all__ = ["augment"]

SPREAD = 50.0
"""How far grey values of 0 to 255 spread, in the deviations that intensities are counted in."""
PREPARING = (
    *("load_segmentation_label", "to_gray", "alb.ToFloat", "alb.ToTensorV2", "alb.Normalize"),
    *("tv.ToImage", "tv.ToDtype", "tv.Grayscale", "sigmoid", "softmax", "argmax"),
)
"""What is done here to all slices anyway."""
SIZES = ("alb.Resize", "tv.Resize")
CROPS = ("alb.RandomCrop", "alb.CenterCrop")


def augment(data: Data, notes: list[str]) -> tuple[list[dict[str, Any]], list[int] | None]:
    """The transforms of the training, and the pixels of a sample; None is left to the plan.

    Args:
        notes: Gets a line for each step without a counterpart.
    """
    parts, size = [], None
    for step in data.preprocess:
        if step.name in SIZES:
            size = _size(step.params) or size
        elif step.name in PARTS and "train" in step.phase:
            made = PARTS[step.name](step.params)
            often = {"probability": float(step.params.get("p", 0.5))}
            parts += [{**part, **often} for part in made]
        elif step.name not in (*PREPARING, *CROPS):
            notes.append(f"step: {step.name}")
    if size is not None:
        notes.append("step: Resize; samples have as many pixels, cut from slices of their own size")
    notes += [f"batch_preprocess: {step.name}" for step in data.batch_preprocess]
    return parts, size


def _size(params: Mapping[str, Any]) -> list[int] | None:
    if "height" in params and "width" in params:
        return [int(params["width"]), int(params["height"])]
    sides = params.get("size")
    if isinstance(sides, int):
        return [sides, sides]
    return [int(side) for side in reversed(sides)] if sides else None


def _pair(value: Any, middle: float = 0.0) -> tuple[float, float]:
    """A limit either way about the middle, or the two ends."""
    if isinstance(value, list | tuple):
        return float(value[0]) + middle, float(value[1]) + middle
    return middle - float(value), middle + float(value)


def _degrees(value: Any) -> float:
    return max(abs(end) for end in _pair(value))


def _flip(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"name": "Flip", "axes": [0]}]


def _vertical(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"name": "Flip", "axes": [1]}]


def _rotate(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    turned = _degrees(params.get("limit", 90))
    return [{"name": "Affine", "rotation_degrees": turned, "scale": [1.0, 1.0]}]


def _move(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    scale = list(_pair(params.get("scale_limit", 0.1), 1.0))
    turned = _degrees(params.get("rotate_limit", 45))
    return [{"name": "Affine", "rotation_degrees": turned, "scale": scale}]


def _light(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    offset = [255 * end / SPREAD for end in _pair(params.get("brightness_limit", 0.2))]
    factor = list(_pair(params.get("contrast_limit", 0.2), 1.0))
    return [{"name": "IntensityShift", "offset": offset}, {"name": "Contrast", "factor": factor}]


def _noise(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    low, high = _pair(params.get("var_limit", (10, 50)))
    deviation = [max(low, 0.0) ** 0.5 / SPREAD, high**0.5 / SPREAD]
    return [{"name": "GaussianNoise", "deviation": deviation}]


def _gamma(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"name": "Gamma", "power": [end / 100 for end in params.get("gamma_limit", (80, 120))]}]


def _blur(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"name": "GaussianBlur", "sigma": [0.5, 1.0]}]


def _bend(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"name": "Elastic", "strength": [0.05, 0.25]}]


def _field(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"name": "BiasField", "strength": [0.1, 0.2]}]


PARTS: dict[str, Callable[[Mapping[str, Any]], list[dict[str, Any]]]] = {
    "alb.HorizontalFlip": _flip,
    "alb.VerticalFlip": _vertical,
    "alb.Rotate": _rotate,
    "alb.ShiftScaleRotate": _move,
    "alb.RandomBrightnessContrast": _light,
    "alb.GaussNoise": _noise,
    "alb.RandomGamma": _gamma,
    "alb.Blur": _blur,
    "alb.GaussianBlur": _blur,
    "alb.ElasticTransform": _bend,
    "alb.GridDistortion": _bend,
    "alb.OpticalDistortion": _bend,
    "custom_bias_field": _field,
}
