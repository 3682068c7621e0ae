"""`tv.NAME`: the transforms of torchvision's v2 that such files name, without torchvision."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from delineate.errors import ConfigError
from delineate.systems.spine.schema.named_arguments import arguments, pick
from delineate.systems.spine.slices.sample import Sample, Work, is_mask

__all__ = ["build_torchvision"]

LUMA = (0.2989, 0.587, 0.114)
TYPES = {
    "float16": np.float16,
    "float32": np.float32,
    "float64": np.float64,
    "int64": np.int64,
    "uint8": np.uint8,
}
Change = Callable[[np.ndarray], np.ndarray]


def resize(
    *,
    size: int | tuple[int, ...],
    interpolation: str = "bilinear",
    max_size: int | None = None,
    antialias: bool = True,
) -> tuple[Change, Change]:
    """To rows and columns; one number is the length of the shorter side, and 2 keep the shape.

    Returns:
        What it does to an image, and to a mask.
    """
    mode = interpolation.lower()
    if mode not in ("bilinear", "bicubic", "nearest"):
        raise ConfigError(f"interpolation '{interpolation}' is none of bilinear, bicubic, nearest.")

    def image(array: np.ndarray) -> np.ndarray:
        smooth: dict[str, Any] = {} if mode == "nearest" else {"antialias": antialias}
        return _interpolated(array, _size(array, size, max_size), mode=mode, **smooth)

    return image, lambda mask: _interpolated(mask, _size(mask, size, max_size), mode="nearest")


def grayscale(*, num_output_channels: int = 1) -> tuple[Change, None]:
    """Grey by luminance, in one channel or three equal ones."""
    if num_output_channels not in (1, 3):
        raise ConfigError(f"num_output_channels: {num_output_channels} is neither 1 nor 3.")

    def image(array: np.ndarray) -> np.ndarray:
        grey = array
        if array.ndim == 3:
            grey = (array[..., :3].astype(np.float32) @ np.asarray(LUMA, np.float32)).astype(
                array.dtype
            )
        return grey if num_output_channels == 1 else np.stack([grey] * 3, axis=-1)

    return image, None


def to_dtype(*, dtype: str = "float32", scale: bool = False) -> tuple[Change, Change]:
    """Another type of values; with `scale`, 0..255 of whole numbers is 0..1 of others.

    A mask is never scaled.
    """
    wanted = pick(dtype.removeprefix("torch."), TYPES, what="dtype")

    def image(array: np.ndarray) -> np.ndarray:
        whole, into_whole = array.dtype.kind in "iub", np.dtype(wanted).kind in "iu"
        if scale and whole and not into_whole:
            return array.astype(wanted) / np.asarray(np.iinfo(array.dtype).max, wanted)
        if scale and into_whole and not whole:
            most = 255 if wanted is np.uint8 else np.iinfo(wanted).max
            return np.clip(array * (most + 1 - 1e-3), 0, most).astype(wanted)
        return array.astype(wanted)

    return image, lambda mask: mask


def normalize(
    *, mean: float | tuple[float, ...], std: float | tuple[float, ...]
) -> tuple[Change, None]:
    """(x - mean) / std, by channel."""

    def image(array: np.ndarray) -> np.ndarray:
        centre, width = (np.squeeze(np.asarray(v, np.float32)) for v in (mean, std))
        return (array.astype(np.float32) - centre) / width

    return image, None


def centre_crop(*, size: int | tuple[int, ...]) -> tuple[Change, Change]:
    """The middle, with zeros around where the image is smaller."""
    rows, columns = (size, size) if isinstance(size, int) else (size * 2)[:2]

    def both(array: np.ndarray) -> np.ndarray:
        room = [max(0, n - have) for n, have in zip((rows, columns), array.shape, strict=False)]
        edges = [(n // 2, (n + 1) // 2) for n in room] + [(0, 0)] * (array.ndim - 2)
        padded = np.pad(array, edges)
        top = round((padded.shape[0] - rows) / 2)
        left = round((padded.shape[1] - columns) / 2)
        return padded[top : top + rows, left : left + columns]

    return both, both


def to_image() -> tuple[Change, Change]:
    """Tensors from here on, which only steps of one's own notice."""
    return (lambda image: image), (lambda mask: mask)


def flip(axis: int) -> Callable[..., tuple[Change, Change]]:
    """Mirrored along an axis of the array."""

    def build(*, p: float = 0.5) -> tuple[Change, Change]:
        if not 0 <= p <= 1:
            raise ConfigError(f"p: {p:g} is no probability.")
        return (lambda a: np.flip(a, axis).copy()), (lambda a: np.flip(a, axis).copy())

    return build


STEPS: dict[str, Callable[..., tuple[Change, Change | None]]] = {
    "CenterCrop": centre_crop,
    "Grayscale": grayscale,
    "Normalize": normalize,
    "RandomHorizontalFlip": flip(1),
    "RandomVerticalFlip": flip(0),
    "Resize": resize,
    "ToDtype": to_dtype,
    "ToImage": to_image,
}
_MOVING = ("CenterCrop", "RandomHorizontalFlip", "RandomVerticalFlip", "Resize")


def build_torchvision(
    name: str, params: Mapping[str, Any], target: tuple[str, ...], *, where: str
) -> Work:
    """The step of one transform; `name` comes without `tv.`."""
    function = pick(name, STEPS, what=f"{where}: tv.")
    given = arguments(function, params, where=where)
    try:
        on_image, on_mask = function(**given)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    chance = name.startswith("Random")
    share = float(given.get("p", 0.5)) if chance else 1.0

    def apply(sample: Sample, rng: np.random.Generator) -> Sample:
        if chance and rng.random() >= share:
            return sample
        image = on_image(sample.image) if "data" in target else sample.image
        label = sample.label
        if "label" in target and on_mask is not None and is_mask(label):
            label = on_mask(label)
        first = sample.channels_first or name == "ToImage"
        return replace(sample, image=image, label=label, channels_first=first)

    return Work(name=f"tv.{name}", apply=apply, drawn=chance, moves=name in _MOVING)


def _size(array: np.ndarray, size: int | tuple[int, ...], longest: int | None) -> tuple[int, int]:
    if not isinstance(size, int) and len(size) == 2:
        return size[0], size[1]
    short = size if isinstance(size, int) else size[0]
    rows, columns = array.shape[:2]
    scale = short / min(rows, columns)
    if longest is not None and max(rows, columns) * scale > longest:
        scale = longest / max(rows, columns)
    return max(1, int(rows * scale)), max(1, int(columns * scale))


def _interpolated(array: np.ndarray, size: tuple[int, int], **how: Any) -> np.ndarray:
    if array.shape[:2] == size:
        return array
    deep = array if array.ndim == 3 else array[..., None]
    tensor = torch.from_numpy(np.moveaxis(deep, -1, 0).copy())[None]
    found = F.interpolate(tensor, size, **how)[0].numpy()
    return found[0] if array.ndim == 2 else np.ascontiguousarray(np.moveaxis(found, 0, -1))
