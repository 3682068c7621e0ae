"""Which mask belongs to which image, by their names alone."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path

from delineate.io import stem

__all__ = ["is_mask_name", "pair"]

_IMAGE_WORDS = "images?|img|scan|volume|vol|t1w"
_MASK_WORDS = (
    "masks?|segmentations?|seg|labels?|lesions?|gt|ground_?truth|annotations?|target|manual"
    "|label-[a-z0-9]+_(?:desc-[a-z0-9]+_)?(?:mask|seg|dseg)"
)


def pair(names: Sequence[str], masks: Iterable[Path]) -> tuple[dict[str, Path], list[Path]]:
    """The mask of each image name that has one, and the masks left over.

    A mask belongs to the image of the same stem, else to one that differs by words for its role:
    `7.png` to `7`, `a_mask.png` to `a`, `segmentation-3.nii` to `volume-3`, and
    `s_label-L_desc-T1lesion_mask.nii.gz` to `s_T1w`.
    """
    left = list(masks)
    chosen: dict[str, Path] = {}
    for shorten_image, shorten_mask in product(_shorten(_IMAGE_WORDS), _shorten(_MASK_WORDS)):
        by_key = {shorten_mask(stem(mask)): mask for mask in left}
        for name in names:
            if name not in chosen and (mask := by_key.pop(shorten_image(name), None)):
                chosen[name] = mask
        left = [mask for mask in left if mask not in set(chosen.values())]
    return chosen, left


def is_mask_name(name: str) -> bool:
    """Whether a stem says by itself that the file is a mask: `lesions`, `case_1_seg`."""
    return bool(re.search(rf"(?:^|[-_ .])(?:{_MASK_WORDS})$", name, re.IGNORECASE))


def _shorten(words: str) -> Iterator[Callable[[str], str]]:
    """Ways to take the words of a role off a name, the most careful first."""
    before = re.compile(rf"^(?:{words})[-_ ]?(?=.)", re.IGNORECASE)
    after = re.compile(rf"(?<=.)[-_ .](?:{words})$", re.IGNORECASE)
    yield lambda name: name
    yield lambda name: after.sub("", name)
    yield lambda name: before.sub("", name)
    yield lambda name: before.sub("", after.sub("", name))
