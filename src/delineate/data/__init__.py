"""Cases on the planned grid: preprocessing and its way back, the cache, and batches of patches."""

from typing import TYPE_CHECKING, Any

from delineate.data.cache import Cache, open_cache
from delineate.data.distances import make_distances
from delineate.data.prepare import prepare, read_case
from delineate.data.preprocess import Prepared, preprocess, preprocess_mask, restore
from delineate.data.resample import decide, resample, resample_mask, resample_scores

if TYPE_CHECKING:
    from delineate.data.batches import Batches

__all__ = [
    "Batches",
    "Cache",
    "Prepared",
    "decide",
    "make_distances",
    "open_cache",
    "prepare",
    "preprocess",
    "preprocess_mask",
    "read_case",
    "resample",
    "resample_mask",
    "resample_scores",
    "restore",
]


def __getattr__(name: str) -> Any:
    if name == "Batches":
        # torch takes a second to import; nothing else in this room needs it.
        from delineate.data.batches import Batches

        return Batches
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
