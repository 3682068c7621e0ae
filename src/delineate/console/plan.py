"""A plan in words."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

from delineate.console.lines import GAP, say_wrapped, times

if TYPE_CHECKING:
    from delineate.plan import Network, Normalisation, Plan

__all__ = ["show_plan"]


def show_plan(plan: "Plan") -> None:
    """Each choice in short words, and under it the reason."""
    words = _plan_in_words(plan)
    names = [field.name for field in fields(plan) if field.name in words]
    margin = max(map(len, names)) + len(GAP)
    for name in names:
        say_wrapped(name.ljust(margin) + words[name], margin)
        if name in plan.reasons:
            say_wrapped(" " * margin + plan.reasons[name], margin, style="dim")


def _plan_in_words(plan: "Plan") -> Mapping[str, str]:
    """Every choice by the name of its field."""
    rules = zip(plan.channels, plan.normalisation, strict=True)
    axis = plan.separate_axis
    return {
        "channels": ", ".join(plan.channels),
        "labels": _first_few(plan.labels.names),
        "spacing": f"{times(plan.spacing)} mm",
        "shape": f"{times(plan.shape)} voxels",
        "crop_nonzero": "yes" if plan.crop_nonzero else "no",
        "normalisation": "; ".join(f"{name}: {_rule(rule)}" for name, rule in rules),
        "separate_axis": "none" if axis is None else f"axis {axis}",
        "patch": f"{times(plan.patch)} voxels",
        "batch_size": str(plan.batch_size),
        "network": _network(plan.network),
        "memory_gb": f"{plan.memory_gb:.3g} GB",
    }


def _rule(rule: "Normalisation") -> str:
    if rule.kind == "ct":
        clip = f"clip {rule.low:.4g}..{rule.high:.4g}"
        return f"{clip}, mean {rule.mean:.4g}, deviation {rule.deviation:.4g}"
    words = {"zscore": "each scan's mean and deviation", "scale": "0..255 to 0..1"}
    return words.get(rule.kind, rule.kind) + (" of nonzero voxels" if rule.nonzero else "")


def _network(network: "Network") -> str:
    """'16-32-64, strides 1-2-2, kernels 3-3-3': per stage, one figure where all axes agree."""
    features = "-".join(map(str, network.features))
    strides, kernels = (
        "-".join(str(size[0]) if len(set(size)) == 1 else times(size) for size in stages)
        for stages in (network.strides, network.kernels)
    )
    return f"{features}, strides {strides}, kernels {kernels}"


def _first_few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + more
