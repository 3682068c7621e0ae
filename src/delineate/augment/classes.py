"""Class names as channels of a mask, and the classes behind the columns of presence."""

from collections.abc import Iterable

import torch
from torch import Tensor

from delineate.labels import Labels

__all__ = ["channels_of", "count_voxels", "members_of_presence", "mirror_of_presence", "show"]


def channels_of(part: object, names: Iterable[str | int], labels: Labels | None) -> tuple[int, ...]:
    """The channels of these classes, a union's members among them; a number is a channel itself.

    Args:
        part: the transform that asks, for its name in an error.
    """
    found: list[int] = []
    for name in names:
        if isinstance(name, int):
            if name < 0 or (labels is not None and name >= labels.channels):
                raise ValueError(
                    f"{type(part).__name__}: there is no channel {name}. "
                    "Fix: name a class of the data set; its channels count from 0."
                )
            found.append(name)
        elif name == "background" and (labels is None or not labels.overlapping):
            found.append(0)
        elif labels is not None and name in labels.names:
            found.extend(labels.members(name))
        else:
            known = "no labels were given" if labels is None else ", ".join(labels.names)
            raise ValueError(
                f"{type(part).__name__}: there is no class '{name}' (known: {known}). "
                "Fix: name a class of the data set, or give the number of a channel."
            )
    return tuple(dict.fromkeys(found))


def members_of_presence(
    columns: int, labels: Labels | None, *, overlapping: bool
) -> tuple[tuple[int, ...], ...]:
    """The channels behind each column of presence.

    Columns are the declared classes, unions included; without labels, the channels but background.
    """
    if labels is None:
        start = 0 if overlapping else 1
        return tuple((c,) for c in range(start, start + columns))
    if columns != len(labels.names):
        raise ValueError(
            f"augment: presence has {columns} columns but the labels {len(labels.names)} classes. "
            "Fix: one entry a class, in the order of the labels."
        )
    return tuple(labels.members(name) for name in labels.names)


def mirror_of_presence(labels: Labels) -> tuple[int, ...]:
    """Where each column of presence comes from after a left-right mirror."""
    order = {name: name for name in labels.names}
    for left, right in labels.pairs:
        order[left], order[right] = right, left
    return tuple(labels.names.index(name) for name in order.values())


def count_voxels(mask: Tensor, dims: int) -> Tensor:
    """Voxels of each channel; ids (*s) are counted up to their largest, ignored ones nowhere."""
    if mask.dim() > dims:
        return (mask > 0).flatten(1).sum(1)
    ids = mask.flatten().long()
    return torch.bincount(ids + 1)[1:] if ids.numel() else ids


def show(mask: Tensor, channel: int, dims: int) -> Tensor:
    """Where a mask, ids (*s) or (k, *s), shows a channel."""
    return mask[channel] > 0 if mask.dim() > dims else mask == channel
