"""The documented changes of training samples, made anew for each epoch."""

from typing import Final

from delineate.augment import Affine, Elastic, Flip, Gamma, GaussianNoise, Sequence
from delineate.systems.liver.settings import PreprocessingConfig

__all__ = ["augmentation"]

_NOISE: Final = {"zscore": 0.1, "minmax": 0.03, "robust": 0.03}
"""Largest deviation of the noise: about 10 HU, whatever a step of the normalised values is."""


def augmentation(settings: PreprocessingConfig, patch: tuple[int, ...]) -> Sequence:
    """Affine maps, bending if asked for, mirror images, noise and grey scales, for a patch size.

    `translation_range` holds along the longest axis; along the others it is less, by their length.
    """
    moves: list[object] = [
        Affine(
            rotation_degrees=min(settings.rotation_degrees, 180.0),
            scale=(0.9, 1.1),
            translation=min(1.0, settings.translation_range / max(patch)),
            probability=0.5,
        )
    ]
    if settings.elastic_deformation:
        moves.append(Elastic(probability=0.3))
    greys = [
        GaussianNoise(deviation=(0.0, _NOISE[settings.normalize_method]), probability=0.3),
        Gamma(probability=0.3),
    ]
    return Sequence([*moves, Flip(axes=[0], probability=0.5), *greys], patch=patch)
