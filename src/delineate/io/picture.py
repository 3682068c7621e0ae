"""PNG, JPEG, TIFF and BMP through Pillow: (c, rows, columns), identity affine.

A TIFF of several pages is a volume, (c, rows, columns, pages). A palette gives colours when read
as an image and its indices when read as a mask. Alpha is dropped where it is constant and refused
where it is not, since then it hides part of the picture. The orientation that a camera notes (EXIF)
is ignored, for masks drawn on such pictures seldom carry it.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from delineate.errors import DataError
from delineate.io.paths import missing
from delineate.io.volume import Grid, Stored

__all__ = ["check_lossless", "one_channel", "read", "read_header", "write"]

_JPEG_GAP = 16


class _Mode(NamedTuple):
    channels: int
    dtype: str
    alpha: bool = False
    """One more component is stored than there are channels."""


_MODES = {
    "1": _Mode(1, "u1"), "L": _Mode(1, "u1"), "I;16": _Mode(1, "u2"), "I;16B": _Mode(1, "u2"),
    "I;16L": _Mode(1, "u2"), "I": _Mode(1, "i4"), "F": _Mode(1, "f4"), "RGB": _Mode(3, "u1"),
    "LA": _Mode(1, "u1", alpha=True), "RGBA": _Mode(3, "u1", alpha=True),
}  # fmt: skip
_FEW_BITS = {"L;2": 85, "L;4": 17}
"""Pillow stretches grey of two or four bits to 0..255; a mask wants the stored numbers."""


def read(path: str, *, mask: bool = False) -> Stored:
    """All pages; as a mask, palette indices and unstretched greys."""
    with _open(path) as image:
        mode, deep = _mode(image, path), _is_deep_colour(image)
        pages = [_page(image, index, path, mask) for index in range(_num_pages(image))]
    if deep:
        pages = [_deep_colour(path)]
    if len({page.shape for page in pages}) > 1:
        sizes = ", ".join(f"{p.shape[0]}x{p.shape[1]}" for p in pages[:4])
        raise DataError(f"{path}: its pages differ in size or kind ({sizes} ...): not one volume.")
    stack = np.stack([page.reshape(*page.shape[:2], -1) for page in pages], axis=-1)
    array = np.moveaxis(_without_alpha(stack, mode, path), 2, 0)
    array = array if len(pages) > 1 else array[..., 0]
    return Stored(array=array, grid=Grid(shape=array.shape[1:], affine=np.eye(4)))


def read_header(path: str) -> tuple[Grid, int, np.dtype]:
    """Grid, channels and value type as an image, without decoding the pixels."""
    with _open(path) as image:
        mode, pages = _mode(image, path), _num_pages(image)
        dtype = np.dtype(np.uint16 if _is_deep_colour(image) else mode.dtype)
        shape = (image.height, image.width) + ((pages,) if pages > 1 else ())
    return Grid(shape=shape, affine=np.eye(4)), mode.channels, dtype


def write(path: Path, array: np.ndarray, grid: Grid) -> None:
    """Write (c, rows, columns), grey or RGB; TIFF also holds floats, and volumes as pages."""
    from PIL import Image

    tiff = path.suffix.lower() in (".tif", ".tiff")
    types = ("u1", "u2", "i4", "f4") if tiff else ("u1", "u2")
    _check_writable(path, array, types, dims=(2, 3) if tiff else (2,))
    if len(array) == 3:
        pages = [Image.fromarray(np.ascontiguousarray(np.moveaxis(array, 0, -1)))]
    else:
        planes = array[0][..., None] if len(grid.shape) == 2 else array[0]
        slices = np.moveaxis(planes, -1, 0)
        pages = [Image.fromarray(np.ascontiguousarray(page)) for page in slices]
    if tiff:
        pages[0].save(
            path, save_all=True, append_images=pages[1:], compression="tiff_adobe_deflate"
        )
    else:
        pages[0].save(path)


def one_channel(array: np.ndarray, path: str) -> np.ndarray:
    """A mask saved in colour as one channel, if its three agree; colours are not class ids."""
    if len(array) == 1:
        return array
    if not (array[0] == array[1]).all() or not (array[0] == array[2]).all():
        colours = np.unique(array.reshape(len(array), -1), axis=1).T[:4].tolist()
        raise DataError(
            f"{path}: a mask in colours, such as {colours}. "
            "Fix: save one number per class (grey or palette)."
        )
    return array[:1]


def check_lossless(array: np.ndarray, path: str) -> None:
    """Refuse a JPEG mask unless its few values lie far apart: JPEG blurs ids at every border."""
    values = np.unique(array)
    if len(values) > 1 and int(np.diff(values.astype(int)).min()) < _JPEG_GAP:
        raise DataError(
            f"{path}: a mask with {len(values)} close values ({_some(values)}) in a JPEG "
            "file, which is lossy: it changes ids at every border. Fix: export the mask as PNG."
        )


def _open(path: str) -> Any:
    from PIL import Image

    try:
        return Image.open(path)
    except FileNotFoundError:
        raise missing(path) from None
    except (OSError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not a readable picture: {error}.") from None


def _num_pages(image: Any) -> int:
    return image.n_frames if image.format == "TIFF" else 1


def _mode(image: Any, path: str) -> _Mode:
    """The facts of a picture's mode; a palette counts as what its colours are."""
    if image.mode == "P":
        name = "RGB" if _has_colours(image) else "L"
        return _MODES[name]._replace(alpha="transparency" in image.info)
    if image.mode not in _MODES:
        raise DataError(
            f"{path}: colour mode {image.mode} is not read. Fix: save it as grey or RGB."
        )
    return _MODES[image.mode]


def _has_colours(image: Any) -> bool:
    palette = np.array(image.getpalette("RGB")).reshape(-1, 3)
    return bool((palette != palette[:, :1]).any())


def _is_deep_colour(image: Any) -> bool:
    return image.mode in ("RGB", "RGBA") and ";16" in _raw_mode(image)


def _raw_mode(image: Any) -> str:
    """How the pixels are stored, before Pillow turns them into its own mode."""
    args = image.tile[0].args if image.tile else ""
    return str(args if isinstance(args, str) else args[0])


def _deep_colour(path: str) -> np.ndarray:
    """(rows, columns, components) of 16 bits, which Pillow would cut to 8."""
    import SimpleITK

    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path))


def _page(image: Any, index: int, path: str, mask: bool) -> np.ndarray:
    """(rows, columns[, components]) of one page."""
    if index:
        image.seek(index)
    mode, stretch = _mode(image, path), _FEW_BITS.get(_raw_mode(image), 1)
    try:
        image.load()
    except (OSError, SyntaxError) as error:
        raise DataError(f"{path}: truncated or broken picture: {error}.") from None
    if image.mode == "P" and not mask:
        target = ("RGB" if mode.channels == 3 else "L") + ("A" if mode.alpha else "")
        image = image.convert("RGBA").convert(target) if mode.alpha else image.convert(target)
    pixels = np.asarray(image)
    if pixels.dtype == bool:
        return pixels.astype(np.uint8)
    return pixels // stretch if mask and stretch > 1 else pixels


def _without_alpha(stack: np.ndarray, mode: _Mode, path: str) -> np.ndarray:
    """(rows, columns, channels, pages) of an array that may have one component more."""
    if not mode.alpha or stack.shape[2] == 1:
        return stack
    alpha = stack[:, :, -1]
    if (alpha != alpha.flat[0]).any():
        raise DataError(
            f"{path}: its transparency varies ({alpha.min()} to {alpha.max()}), so part of the "
            "picture is hidden. Fix: flatten it onto a background."
        )
    return stack[:, :, :-1]


def _check_writable(
    path: Path, array: np.ndarray, types: tuple[str, ...], dims: tuple[int, ...]
) -> None:
    kind = np.dtype(array.dtype).str[1:]
    grey, colour = len(array) == 1, len(array) == 3 and array.ndim == 3 and kind == "u1"
    if kind not in types or array.ndim - 1 not in dims or not (grey or colour):
        raise ValueError(
            f"{path}: {path.suffix} cannot hold an array of shape {array.shape} and type "
            f"{array.dtype}. Fix: write .nii.gz or .h5."
        )


def _some(values: np.ndarray) -> str:
    return ", ".join(map(str, values[:5].tolist())) + (" ..." if len(values) > 5 else "")
