"""What happens to a scan before and after the network, said so that another program can do it.

plan.json says the same to us; this is for those who run the network without `delineate`.
"""

from dataclasses import asdict
from typing import Any

from delineate.plan import Normalisation, Plan

__all__ = ["describe_preprocessing"]

_RULES = {
    "zscore": "x = (x - mean(x)) / std(x) of the case itself; a constant channel becomes 0",
    "ct": "x = (clip(x, low, high) - mean) / deviation",
    "scale": "x = x / 255",
    "none": "x = x",
}


def describe_preprocessing(plan: Plan) -> list[dict[str, Any]]:
    """The steps in their order, each with all its figures."""
    axes = "RAS+" if len(plan.patch) == 3 else "rows, columns"
    steps: list[dict[str, Any]] = [
        {"step": "channels", "order": list(plan.channels)},
        {"step": "orient", "axes": axes},
    ]
    if plan.crop_nonzero:
        rule = "the smallest box that holds every voxel at which any channel is not 0"
        steps.append({"step": "crop", "to": rule})
    steps.append(
        {
            "step": "normalise",
            "channels": [
                {"channel": name, **_rule(normalisation)}
                for name, normalisation in zip(plan.channels, plan.normalisation, strict=True)
            ],
        }
    )
    steps.append(
        {
            "step": "resample",
            "spacing_mm": list(plan.spacing),
            "shape": "max(1, round(voxels * own spacing / spacing)) along each axis",
            "grid": "the outer edges of the volume stay where they are; beyond them the outermost "
            "voxel goes on",
            "interpolation": "cubic B-spline, without smoothing",
            "nearest_along_axis": plan.separate_axis,
        }
    )
    return steps


def _rule(normalisation: Normalisation) -> dict[str, Any]:
    said = {"rule": _RULES[normalisation.kind], **asdict(normalisation)}
    if normalisation.kind == "zscore" and normalisation.nonzero:
        said["rule"] += "; over voxels that are not 0, which stay 0"
    if normalisation.kind != "ct":
        for key in ("mean", "deviation", "low", "high"):
            del said[key]
    return said
