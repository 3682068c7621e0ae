"""What a cascade is asked to do: which networks, what each lets through, and how it writes."""

from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Le, MinLen

from delineate.config.words import Words
from delineate.systems.spine.schema.entries import Section
from delineate.systems.spine.slices.volume_pictures import Cut

__all__ = ["CascadeSettings", "Gate"]

Count = Annotated[int, Ge(1)]
Share = Annotated[float, Ge(0), Le(1)]
Keep = Annotated[
    tuple[int | str, ...], MinLen(1), Words("a list of one or more classes, numbers or names")
]


class Gate(Section):
    """A classifier that lets a series or a slice through, or not."""

    name: str
    checkpoint: str
    """In the folder of the weights, with or without .ckpt; or a path."""
    keep: Keep
    """The classes that are let through: numbers from 0 as the network was trained, or names."""
    by: Literal["series", "slice"] = "series"
    """Whether the slices vote on the series as a whole, or each is judged alone."""
    confidence: Share = 0.0
    """A slice whose most probable class has less than this abstains; judged alone, it is out."""


class Cord(Section):
    """The network that draws the spinal cord."""

    checkpoint: str = "spinal_cord_segmentation"
    confidence: Share = 0.5
    """From which probability on a pixel is cord."""


class Lesion(Section):
    """The network that draws lesions."""

    checkpoint: str = "lesion_segmentation"
    confidence: Share = 0.5
    """From which probability on a pixel is lesion."""


class CascadeSettings(Section):
    """Gates in their order, then the cord, then lesions inside it."""

    weights: Path = Path("weights")
    """The folder of the checkpoints."""
    gates: tuple[Gate, ...] = (
        Gate(name="anatomy", checkpoint="anatomy", keep=tuple(range(141, 150))),
        Gate(name="location_view", checkpoint="spine_location_view", keep=(2,)),
        Gate(name="sequence", checkpoint="spine_sequence", keep=(3,)),
        Gate(name="spinal_cord", checkpoint="spinal_cord", keep=(1,), by="slice"),
    )
    cord: Cord = Cord()
    """Where there is no such checkpoint, lesions are drawn wherever they are seen."""
    lesion: Lesion = Lesion()
    """Where there is no such checkpoint, the one of that name behind `pruned_` is taken."""
    minimum_slices: Count = 4
    """A series with fewer is rejected."""
    batch_size: Count = 16
    """Slices that go through a network together."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    plane: Cut = "auto"
    """Which way scans in one file are cut into slices."""
    nifti: bool = False
    """Whether a DICOM series gets NIfTI masks in place of DICOM-SEG."""
    preview: bool = False
    """Whether a picture of the slices with their masks is written for each accepted series."""
