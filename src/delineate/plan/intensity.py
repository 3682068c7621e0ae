"""How intensities are brought near zero, and whether the empty border of a scan is cut away."""

import re

import numpy as np

from delineate.plan.fingerprint import Fingerprint
from delineate.plan.plan import Normalisation

__all__ = ["choose_crop", "choose_normalisation"]

WORTH_CROPPING = 0.25
"""Cutting to the nonzero box pays when it removes more than this part of the voxels."""

# A word of its own, so that 'structural' and 'contrast' are not CT.
_CT = re.compile(r"(?<![a-z])(cb|nc|ce|ld)?ct(a)?(?![a-z])", re.IGNORECASE)


def choose_crop(fingerprint: Fingerprint) -> tuple[bool, str]:
    """Whether to cut each case to its nonzero box, and why."""
    removed = 1 - float(np.median([case.share for case in fingerprint.cases]))
    verdict = "more" if removed > WORTH_CROPPING else "not more"
    why = (
        f"The nonzero box is {removed:.0%} smaller than the scan on median: "
        f"{verdict} than {WORTH_CROPPING:.0%}."
    )
    return removed > WORTH_CROPPING, why


def choose_normalisation(
    fingerprint: Fingerprint, *, nonzero: bool
) -> tuple[tuple[Normalisation, ...], str]:
    """One per channel, and why; `nonzero` keeps an empty border out of mean and deviation."""
    chosen, why = [], []
    for name, found in zip(fingerprint.channels, fingerprint.intensities, strict=True):
        if _CT.search(name):
            chosen.append(
                Normalisation(
                    kind="ct",
                    mean=_short(found.mean),
                    deviation=_short(found.deviation) or 1.0,
                    low=_short(found.low),
                    high=_short(found.high),
                )
            )
            why.append(
                f"'{name}' is CT, whose numbers mean the same in every scan: clipped to the "
                f"labelled structures' {found.low:.4g}..{found.high:.4g} (0.5 and 99.5 %)."
            )
        else:
            chosen.append(Normalisation(kind="zscore", nonzero=nonzero))
            voxels = "its nonzero voxels" if nonzero else "all its voxels"
            why.append(f"'{name}' has no fixed unit: each scan by mean and deviation of {voxels}.")
    return tuple(chosen), " ".join(dict.fromkeys(why))


def _short(value: float) -> float:
    """Six significant digits: what a person can read and edit."""
    return float(f"{value:.6g}")
