"""What a plan written by hand must obey; every mistake is found, not only the first."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

from delineate.plan.plan import Network, Normalisation, Plan
from delineate.plan.topology import total_stride

__all__ = ["KINDS", "Problem", "check_fields", "check_together", "suggest"]

KINDS = ("zscore", "ct", "scale", "none")


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: the key, and a sentence."""

    key: str
    text: str


def suggest(word: str, known: Iterable[str]) -> str:
    """' Did you mean ...?' where a known word is near, else the full stop."""
    near = get_close_matches(word, list(known), n=1)
    return f". Did you mean '{near[0]}'?" if near else "."


def check_fields(values: Mapping[str, Any]) -> list[Problem]:
    """Types and ranges, key by key; only keys that are there."""
    problems = []
    for key, (right, wanted) in _WANTED.items():
        if key in values and not right(values[key]):
            problems.append(Problem(key, f"must be {wanted}, got {_short(values[key])}."))
    if isinstance(values.get("network"), dict):
        problems += _check_network(values["network"])
    if isinstance(values.get("normalisation"), list):
        problems += _check_normalisation(values["normalisation"])
    if isinstance(values.get("labels"), dict):
        problems += _check_labels(values["labels"])
    return problems


def check_together(plan: Plan) -> list[Problem]:
    """What must agree between fields, each of which is right by itself."""
    problems: list[Problem] = []
    dims = len(plan.spacing)
    lengths = {"shape": len(plan.shape), "patch": len(plan.patch)}
    for key, length in lengths.items():
        if length != dims:
            problems.append(
                Problem(key, f"has {length} entries but 'spacing' has {dims}. Fix: one per axis.")
            )
    if len(plan.normalisation) != len(plan.channels):
        problems.append(
            Problem(
                "normalisation",
                f"has {len(plan.normalisation)} entries for {len(plan.channels)} channels "
                f"({', '.join(plan.channels)}). Fix: one per channel.",
            )
        )
    if plan.separate_axis is not None and plan.separate_axis >= dims:
        problems.append(
            Problem("separate_axis", f"{plan.separate_axis} is none of the {dims} axes.")
        )
    return problems + _check_stages(plan.network) or problems + _check_patch(plan)


def _check_stages(network: Network) -> list[Problem]:
    counts = {f.name: len(getattr(network, f.name)) for f in fields(Network)}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {n}" for name, n in counts.items())
        return [Problem("network", f"needs one entry per stage in each list; got {told}.")]
    if len({len(entry) for entry in (*network.strides, *network.kernels)}) > 1:
        return [Problem("network", "strides and kernels must all have the same number of axes.")]
    if any(step != 1 for step in network.strides[0]):
        return [
            Problem("network.strides", f"the first must be all 1, got {[*network.strides[0]]}.")
        ]
    return []


def _check_patch(plan: Plan) -> list[Problem]:
    """The patch suits the network's axes and total stride."""
    dims = len(plan.network.strides[0])
    if dims == len(plan.patch):
        axes = list(range(dims))
    elif dims == len(plan.patch) - 1 and 1 in plan.patch:
        axes = [a for a in range(len(plan.patch)) if a != plan.patch.index(1)]
    else:
        return [
            Problem(
                "patch",
                f"{list(plan.patch)} does not suit a network of {dims} axes. Fix: as many axes, "
                "or one more with a 1 on the axis that the network walks along.",
            )
        ]
    problems = []
    for axis, step in zip(axes, total_stride(plan.network), strict=True):
        size = plan.patch[axis]
        if size % step:
            fits = sorted({max(step, size // step * step), (size // step + 1) * step})
            problems.append(
                Problem(
                    "patch",
                    f"{size} on axis {axis} is not divisible by the network's total stride {step}. "
                    f"Fix: {' or '.join(map(str, fits))}.",
                )
            )
    return problems


def _check_network(network: Mapping[str, Any]) -> list[Problem]:
    known = [f.name for f in fields(Network)]
    problems = _unknown("network", network, known)
    problems += [Problem(f"network.{key}", "is missing.") for key in known if key not in network]
    for key in ("features", "convolutions"):
        if key in network and not _counts(network[key]):
            problems.append(Problem(f"network.{key}", "must be a list of whole numbers above 0."))
    for key in ("strides", "kernels"):
        value = network.get(key, [[1]])
        if not (isinstance(value, list) and value and all(_counts(v) for v in value)):
            problems.append(
                Problem(f"network.{key}", "must be a list of lists of whole numbers above 0.")
            )
    kernels = network.get("kernels")
    if isinstance(kernels, list) and any(
        k % 2 == 0 for row in kernels if _counts(row) for k in row
    ):
        problems.append(Problem("network.kernels", "must be odd, so that sizes are kept."))
    return problems


def _check_normalisation(entries: list[Any]) -> list[Problem]:
    known = [f.name for f in fields(Normalisation)]
    problems = []
    for number, entry in enumerate(entries):
        where = f"normalisation[{number}]"
        if not isinstance(entry, dict):
            problems.append(Problem(where, f"must be an object, got {_short(entry)}."))
            continue
        problems += _unknown(where, entry, known)
        if (kind := entry.get("kind")) not in KINDS:
            near = suggest(kind, KINDS) if isinstance(kind, str) else "."
            problems.append(
                Problem(where, f"kind must be one of {', '.join(KINDS)}; got {kind!r}{near}")
            )
        problems += [
            Problem(where, f"{key} must be a number, got {_short(entry[key])}.")
            for key in ("mean", "deviation", "low", "high")
            if key in entry and not _number(entry[key])
        ]
        if "nonzero" in entry and not isinstance(entry["nonzero"], bool):
            problems.append(Problem(where, "nonzero must be true or false."))
        if kind == "ct" and all(_number(entry.get(k, 0)) for k in ("deviation", "low", "high")):
            if entry.get("deviation", 1.0) <= 0:
                problems.append(Problem(where, "deviation must be greater than 0."))
            if entry.get("low", 0.0) >= entry.get("high", 0.0):
                problems.append(
                    Problem(where, "low must be less than high, both are needed for 'ct'.")
                )
    return problems


def _check_labels(labels: Mapping[str, Any]) -> list[Problem]:
    problems = _unknown("labels", labels, ("classes", "overlapping", "ignore", "pairs"))
    classes = labels.get("classes")
    if not isinstance(classes, list) or not classes:
        return [*problems, Problem("labels.classes", "must be a list of at least one class.")]
    for number, entry in enumerate(classes):
        where = f"labels.classes[{number}]"
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            problems.append(Problem(where, "must be an object with a 'name'."))
            continue
        problems += _unknown(where, entry, ("name", "id", "colour", "parent"))
        if "id" in entry and not _whole(entry["id"]):
            problems.append(
                Problem(where, f"id must be a whole number, got {_short(entry['id'])}.")
            )
        if "colour" in entry and not (_wholes(entry["colour"]) and len(entry["colour"]) == 3):
            problems.append(Problem(where, "colour must be three whole numbers."))
        if not isinstance(entry.get("parent", ""), str):
            problems.append(Problem(where, "parent must be the name of a class."))
    if not isinstance(labels.get("overlapping", False), bool):
        problems.append(Problem("labels.overlapping", "must be true or false."))
    if not (labels.get("ignore") is None or _whole(labels["ignore"])):
        problems.append(Problem("labels.ignore", "must be a whole number or null."))
    pairs = labels.get("pairs", [])
    if not (isinstance(pairs, list) and all(_texts(p) and len(p) == 2 for p in pairs)):
        problems.append(Problem("labels.pairs", "must be a list of pairs of names."))
    return problems


def _unknown(where: str, found: Mapping[str, Any], known: Iterable[str]) -> list[Problem]:
    known = list(known)
    return [
        Problem(where, f"unknown key '{k}'{suggest(k, known)}") for k in found if k not in known
    ]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _wholes(value: object) -> bool:
    return isinstance(value, list) and all(_whole(v) for v in value)


def _counts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(_whole(v) and v > 0 for v in value)


def _texts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, str) for v in value)


def _lengths(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(_number(v) and v > 0 for v in value)


_WANTED: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "channels": (_texts, "a list of names"),
    "labels": (lambda v: isinstance(v, dict), "an object"),
    "spacing": (_lengths, "a list of mm above 0"),
    "shape": (_counts, "a list of whole numbers above 0"),
    "crop_nonzero": (lambda v: isinstance(v, bool), "true or false"),
    "normalisation": (lambda v: isinstance(v, list), "a list, one entry per channel"),
    "separate_axis": (lambda v: v is None or (_whole(v) and v >= 0), "an axis (0, 1, 2) or null"),
    "patch": (_counts, "a list of whole numbers above 0"),
    "batch_size": (lambda v: _whole(v) and v > 0, "a whole number above 0"),
    "network": (lambda v: isinstance(v, dict), "an object"),
    "memory_gb": (lambda v: _number(v) and v >= 0, "a number of GB"),
}
