"""A slice of a data set, and what a crawler finds before it is settled which slices there are."""

from dataclasses import dataclass

from delineate.systems.spine.schema.entries import Phase

__all__ = ["Row", "Slice"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One picture, and what is known of it."""

    id: str
    """The source, and where it lies in there: `lesions/train/images/p3_07`."""
    input_path: str
    """A file, or a slice of a scan: `scan.nii.gz::sagittal[12]`, `folder::SeriesUID[3]`."""
    label: str | None
    """A class, or a mask, written as the input is; None where an empty mask is meant."""
    phase: Phase
    dataset: str
    """The name of the source."""
    group: str
    """The patient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One image file, or one slice of it."""

    path: str
    name: str
    """Where it lies below the source's folder, with slashes."""
    label: str | None
    """A class, or the path of a mask; None where an empty mask is meant."""
    phase: Phase | None = None
    """None where the layout does not say."""
    patient: str | None = None
    """Where the layout or a column says it."""
    folder: str = ""
    """The folders below the class or beside the roles, which may be a patient's."""
