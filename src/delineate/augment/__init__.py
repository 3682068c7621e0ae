"""Random changes to batches: drawn first, then applied on whatever device the batch is on."""

from delineate.augment.anatomy import AnatomicElastic
from delineate.augment.artefacts import BiasField, GaussianBlur, LowResolution, PartialVolume
from delineate.augment.copypaste import CopyPaste
from delineate.augment.cutmix import CutMix
from delineate.augment.flip import Flip
from delineate.augment.geometry import Affine, Elastic
from delineate.augment.intensity import (
    Brightness,
    Contrast,
    Gamma,
    GaussianNoise,
    IntensityShift,
    RicianNoise,
)
from delineate.augment.kspace import Ghosting, Motion
from delineate.augment.one_of import OneOf
from delineate.augment.sequence import Sequence
from delineate.augment.structure_mix import StructureMix
from delineate.augment.transform import Draw, Frame, Geometric, Intensity, Transform

__all__ = [
    "Affine",
    "AnatomicElastic",
    "BiasField",
    "Brightness",
    "Contrast",
    "CopyPaste",
    "CutMix",
    "Draw",
    "Elastic",
    "Flip",
    "Frame",
    "Gamma",
    "GaussianBlur",
    "GaussianNoise",
    "Geometric",
    "Ghosting",
    "Intensity",
    "IntensityShift",
    "LowResolution",
    "Motion",
    "OneOf",
    "PartialVolume",
    "RicianNoise",
    "Sequence",
    "StructureMix",
    "Transform",
]
