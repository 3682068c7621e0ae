"""Random changes to batches: drawn first, then applied on whatever device the batch is on."""

from delineate.augment.artefacts import BiasField, GaussianBlur, LowResolution
from delineate.augment.flip import Flip
from delineate.augment.geometry import Affine, Elastic
from delineate.augment.intensity import Brightness, Contrast, Gamma, GaussianNoise
from delineate.augment.sequence import Sequence
from delineate.augment.transform import Draw, Frame, Geometric, Intensity, Transform

__all__ = [
    "Affine",
    "BiasField",
    "Brightness",
    "Contrast",
    "Draw",
    "Elastic",
    "Flip",
    "Frame",
    "Gamma",
    "GaussianBlur",
    "GaussianNoise",
    "Geometric",
    "Intensity",
    "LowResolution",
    "Sequence",
    "Transform",
]
