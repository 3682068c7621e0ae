"""The documented changes of training samples, on the engine's parts.

- Bending, `AnatomicElastic`: shares of 1, 0.7 and 0.5 in midbrain, pons and medulla. Documented is
  normal noise of deviation alpha, 5 to 15, smoothed by sigma, 2 to 4 voxels. A cubic B-spline of
  interval h is about as wide as a Gaussian of h / sqrt(3), so the control points lie
  sqrt(3) sigma = 5.2 voxels apart, for the middle sigma of 3, and the strength gives the field the
  deviation that alpha has there, 0.14 to 0.43 voxels. The strongest tenth of these draws is held at
  0.4 intervals, beyond which tissue could fold, as the documented field does.
- The morphogens make bending calmer where they are strong (`morphogen.deformation_weight`).
- CutMix of nuclei, `StructureMix`: once with the probability that is asked for. The documented
  priorities are ids of the sixteen-class schema, and hold for labels that have just these ids;
  elsewhere rarer nuclei come more often.
- Noise, `noise.one_noise`: one of five kinds, and of the image only, not of morphogen channels.
"""

import logging
from collections.abc import Sequence
from math import pi, sqrt
from typing import Any

from delineate.labels import Labels
from delineate.systems.brainstem.morphogen import WHOLE, calm_lists
from delineate.systems.brainstem.settings import TrainingConfig

__all__ = ["SHARES", "bending", "parts"]

log = logging.getLogger("delineate")

SHARES = {"midbrain": 1.0, "pons": 0.7, "medulla": 0.5}
"""How freely subdivisions move, by their class in small letters; others move freely."""
ALPHA = (5.0, 15.0)
SIGMA = 3.0
STRONGEST = 0.4
PRIORITIES = {3: 1.0, 8: 1.0, 12: 1.0, 1: 0.7, 2: 0.7, 4: 0.7, 9: 0.3, 15: 0.3}
"""By id of the sixteen-class schema; others have 0.5."""


def parts(
    config: TrainingConfig,
    labels: Labels,
    *,
    within: Sequence[tuple[float, float]] = WHOLE,
) -> list[dict[str, Any]]:
    """The entries of `Config.augment`.

    Args:
        within: where the training case lies in the volume that it was cut out of, as shares of each
            axis; the whole for subjects.
    """
    found: list[dict[str, Any]] = []
    if config.elastic_prob > 0:
        shares = {n: SHARES[n.lower()] for n in labels.names if n.lower() in SHARES}
        elastic = bending(config.patch_size) | {"shares": shares}
        if config.morphogen_aware:
            elastic["calm"] = calm_lists(within)
        found.append({"name": "AnatomicElastic", **elastic, "probability": config.elastic_prob})
    if config.cutmix_prob > 0 and config.batch_size > 1:
        mix = {"name": "StructureMix", "probability": config.cutmix_prob}
        found.append(mix | _priorities(labels))
    elif config.cutmix_prob > 0:
        log.info("a batch of one has no second sample: no nuclei are pasted")
    if config.noise_prob > 0:
        found.append(
            {
                "name": "delineate.systems.brainstem.noise.one_noise",
                "channels": config.input_channels,
                "probability": config.noise_prob,
            }
        )
    return found


def bending(patch: Sequence[int]) -> dict[str, Any]:
    """The documented alpha and sigma as intervals and strength; see above."""
    intervals = max(1, round((max(patch) - 1) / (SIGMA * sqrt(3))))
    interval = (max(patch) - 1) / intervals
    # Of smoothed independent noise, and of uniform control points under a cubic spline.
    smoothed = (2 * SIGMA * sqrt(pi)) ** -1.5
    spline = interval * sqrt(1 / 3) * (151 / 315) ** 1.5
    strength = [min(STRONGEST, alpha * smoothed / spline) for alpha in ALPHA]
    return {"intervals": intervals, "strength": strength}


def _priorities(labels: Labels) -> dict[str, Any]:
    """The documented ones for the sixteen-class schema; by rarity for all other labels."""
    names = {leaf.id: leaf.name for leaf in labels.leaves}
    if set(names) != set(range(1, 16)):
        return {}
    return {"priorities": {names[number]: share for number, share in PRIORITIES.items()}}
