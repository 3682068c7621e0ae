"""One scan and what is known of it, before anything is loaded."""

from dataclasses import dataclass
from pathlib import Path

from delineate.labels import Labels

__all__ = ["Case", "Dataset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Where one scan and its mask lie; paths only.

    A path may point inside an HDF5 file: `train.h5::images[17]` (see `delineate.io`).
    """

    id: str
    """Unique in the data set and usable as a file name."""
    images: tuple[str, ...]
    """One file per channel, or one file with all channels; a DICOM series is its folder."""
    label: str | None = None
    group: str = ""
    """The patient (or site), who never straddles folds; empty means the case itself."""
    split: str | None = None
    """'train', 'validation' or 'test' where the data set itself says so."""
    presence: tuple[int, ...] | None = None
    """0/1 per class where the data set says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """All cases of a folder and what the folder says about them."""

    root: Path
    layout: str
    """The name of the layout that was found or asked for."""
    cases: tuple[Case, ...]
    """Sorted by id."""
    channels: tuple[str, ...] = ("image",)
    """One name per input channel, such as 'CT', 'T1', 'FLAIR': normalisation follows from it."""
    labels: Labels | None = None
    """None where the folder does not declare its labels: the fingerprint then finds them."""
    orphans: tuple[str, ...] = ()
    """Files that belong to no case (a mask without its image), and listed files that are absent."""
