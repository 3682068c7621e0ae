"""The documented rules: from memory, number of cases and size of lesions to a configuration.

Memory of a training step is nowhere guessed from these rules: `search` measures it.
"""

from collections.abc import Mapping, Sequence
from math import ceil, prod
from types import MappingProxyType
from typing import Any

__all__ = [
    "BASIC",
    "LEVELS",
    "PROGRESSIVE",
    "TYPICAL_LESION_PERCENT",
    "TYPICAL_SHAPE",
    "augmentation_rules",
    "batch_rule",
    "input_shape",
    "larger_shapes",
    "loss_rules",
    "saves_memory",
    "smaller_shapes",
    "training_rules",
]

TYPICAL_SHAPE = (197, 233, 189)
"""Voxels of a scan of ATLAS 2.0."""
TYPICAL_LESION_PERCENT = 0.5
"""What a lesion takes of the brain where no data are given."""
MULTIPLE = 16
SMALLEST_EDGE = 96
EDGES = ((20, 160), (16, 144), (12, 128), (8, 112), (0, SMALLEST_EDGE))
"""From so many GB on, the shortest edge of a sample."""

BASIC = "basic"
LEVELS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        BASIC: {"base_filters": 16, "depth": 3, "attention": False, "transformer": False},
        "attention": {"base_filters": 24, "depth": 4, "transformer": False},
        "hybrid_small": {"base_filters": 32, "depth": 4, "transformer_depth": 1},
        "hybrid_medium": {"base_filters": 40, "depth": 4, "transformer_depth": 2},
        "hybrid_large": {"base_filters": 48, "depth": 4, "transformer_depth": 2},
    }
)
"""Smallest first: what of each differs from the network of the last documented stage. The largest
is that network, of about 22 million weights, and so has a depth of 4."""

PROGRESSIVE: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "stage1_basic": {"edge": 96, "batch": 2, "epochs": 30},
        "stage2_attention": {"edge": 112, "batch": 1, "epochs": 40},
        "stage3_hybrid_small": {"edge": 128, "batch": 1, "epochs": 50},
        "stage4_hybrid_full": {"edge": 144, "batch": 1, "epochs": 100},
    }
)
"""The four stages: the edge of their cubes, samples in a batch, epochs."""


def input_shape(memory_gb: float, scan: Sequence[int]) -> tuple[int, ...]:
    """Voxels of a sample, in the scan's proportions; never more than the scan, padded to 16."""
    base = next(edge for least, edge in EDGES if memory_gb >= least)
    return _proportional(base, scan)


def larger_shapes(shape: Sequence[int], scan: Sequence[int]) -> list[tuple[int, ...]]:
    """Samples beyond `shape`, smallest first, up to the whole scan."""
    whole = _whole(scan)
    bases = range(min(shape) + MULTIPLE, min(whole), MULTIPLE)
    shapes = (*(_proportional(base, scan) for base in bases), whole)
    return [found for found in dict.fromkeys(shapes) if prod(found) > prod(shape)]


def smaller_shapes(shape: Sequence[int]) -> list[tuple[int, ...]]:
    """Cubes below the documented samples, largest first, for where even those do not fit."""
    return [(edge,) * 3 for edge in range(min(shape) - MULTIPLE, MULTIPLE, -MULTIPLE)]


def batch_rule(memory_gb: float) -> int:
    """Samples in a batch."""
    return 2 if memory_gb >= 12 else 1


def saves_memory(memory_gb: float) -> bool:
    """Whether features are recomputed in the backward pass."""
    return memory_gb < 16


def training_rules(cases: int) -> dict[str, Any]:
    """How long, how fast, and how often samples are changed, by the number of cases."""
    if cases < 200:
        epochs, patience, rate, changed = 150, 25, 5e-5, 0.8
        schedule = {"type": "cosine_decay", "warmup_epochs": 10, "decay_steps": 100, "alpha": 0.1}
    elif cases < 500:
        epochs, patience, rate, changed = 120, 20, 1e-4, 0.6
        schedule = {"type": "reduce_on_plateau", "factor": 0.5, "patience": 8, "min_lr": 1e-7}
    else:
        epochs, patience, rate, changed = 100, 15, 1e-4, 0.4
        schedule = {
            "type": "polynomial_decay",
            "decay_steps": 80,
            "end_learning_rate": 1e-6,
            "power": 0.9,
        }
    return {
        "epochs": epochs,
        "learning_rate": rate,
        "lr_schedule": schedule,
        "patience": patience,
        "validation_split": 0.2,
        "augmentation_prob": changed,
    }


def loss_rules(lesion_percent: float) -> dict[str, float]:
    """Weights of the terms, by the percentage of the brain that a lesion takes."""
    if lesion_percent < 0.1:
        dice, focal, boundary, gamma = 0.4, 0.4, 0.2, 3.0
    elif lesion_percent < 1:
        dice, focal, boundary, gamma = 0.5, 0.3, 0.2, 2.0
    else:
        dice, focal, boundary, gamma = 0.6, 0.3, 0.1, 2.0
    return {
        "dice_weight": dice,
        "focal_weight": focal,
        "boundary_weight": boundary,
        "focal_gamma": gamma,
        "focal_alpha": 0.25,
    }


def augmentation_rules(lesion_percent: float) -> dict[str, Any]:
    """How far samples are changed: the smaller the lesions, the less."""
    small, medium = lesion_percent < 0.1, lesion_percent < 1
    if small:
        degrees, scale, shift, bend = 10, 0.1, 5, 0.1
    elif medium:
        degrees, scale, shift, bend = 15, 0.15, 10, 0.2
    else:
        degrees, scale, shift, bend = 20, 0.2, 15, 0.3
    return {
        "spatial_prob": 0.6 if small else 0.8,
        "intensity_prob": 0.7,
        "noise_prob": 0.3,
        "elastic_prob": 0.4,
        "rotation_range": [-degrees, degrees],
        "scale_range": [round(1 - scale, 2), round(1 + scale, 2)],
        "translation_range": [-shift, shift],
        "elastic_deformation": bend,
        "brightness": [-0.1, 0.1],
        "contrast": [0.9, 1.1],
        "gamma": [0.8, 1.2],
        "noise_std": 0.05,
    }


def _proportional(base: int, scan: Sequence[int]) -> tuple[int, ...]:
    """The shortest edge is `base`, all are multiples of 16."""
    shortest = min(scan)
    edges = (int(base * size / shortest) // MULTIPLE * MULTIPLE for size in scan)
    return tuple(
        min(most, max(SMALLEST_EDGE, edge)) for edge, most in zip(edges, _whole(scan), strict=True)
    )


def _whole(scan: Sequence[int]) -> tuple[int, ...]:
    return tuple(ceil(size / MULTIPLE) * MULTIPLE for size in scan)
