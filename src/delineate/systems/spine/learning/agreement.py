"""How well each slice is told: Dice and IoU of its mask, or the probabilities of its classes."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, distributed

__all__ = ["both_sides", "class_rows", "gathered", "mask_rows"]


def mask_rows(ids: Tensor, truth: Tensor, slices: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """By slice, the agreement of its foreground: all classes but 0.

    Dice and IoU are 1 where there is no foreground on either side.
    """
    found, true = (x.flatten(1) > 0 for x in (ids, truth))
    same = (ids == truth).flatten(1) & found & true
    hit, p, t = (x.sum(1).tolist() for x in (same, found, true))
    return {
        part.id: {
            **_place(part),
            "dice": 2 * hit[i] / (p[i] + t[i]) if p[i] + t[i] else 1.0,
            "iou": hit[i] / (p[i] + t[i] - hit[i]) if p[i] + t[i] else 1.0,
            "true_pixels": t[i],
            "predicted_pixels": p[i],
        }
        for i, part in enumerate(slices)
    }


def class_rows(
    probabilities: Tensor, truth: Tensor, slices: Sequence[Any], names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """By slice, its true class, the likeliest one and the probability of each."""
    chosen = probabilities.argmax(1)
    rows: dict[str, dict[str, Any]] = {}
    for part, is_, said, each in zip(
        slices, truth.tolist(), chosen.tolist(), probabilities.tolist(), strict=True
    ):
        rows[part.id] = {
            **_place(part),
            "class": _name(names, is_),
            "predicted": _name(names, said),
            "right": int(is_ == said),
            **{f"p_{_name(names, k)}": round(p, 6) for k, p in enumerate(each)},
        }
    return rows


def gathered(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The rows of all processes of a training, a slice that several have met once."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return rows
    parts: list[dict[str, dict[str, Any]]] = [{} for _ in range(distributed.get_world_size())]
    distributed.all_gather_object(parts, rows)
    return {name: row for part in parts for name, row in part.items()}


def both_sides(probabilities: Tensor) -> Tensor:
    """Two columns of a single one, the foreground's."""
    if probabilities.shape[1] > 1:
        return probabilities
    return torch.cat((1 - probabilities, probabilities), 1)


def _place(part: Any) -> dict[str, Any]:
    return {"id": part.id, "dataset": part.dataset, "path": str(part.input_path)}


def _name(names: Iterable[str], number: int) -> str:
    known = list(names)
    return known[number] if number < len(known) else str(number)
