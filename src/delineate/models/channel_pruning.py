"""Filters that leave a network for good: its tensors without them, and its optimiser's."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["Change", "Pruning", "ascending", "shrink"]


@dataclass(frozen=True, slots=True)
class Change:
    """A parameter, the one in its place, and by axis the indices that stayed."""

    old: nn.Parameter
    new: nn.Parameter
    kept: Mapping[int, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruning:
    """Which filters were removed, and which parameters are new."""

    removed: Mapping[str, list[int]]
    """By layer, the filters that went, as they were counted before."""
    changes: tuple[Change, ...]

    def adapt(self, optimizer: torch.optim.Optimizer) -> None:
        """Let an optimiser train the new parameters, with what is left of its moments."""
        renewed = {id(change.old): change.new for change in self.changes}
        for group in optimizer.param_groups:
            group["params"] = [renewed.get(id(p), p) for p in group["params"]]
        for change in self.changes:
            if change.old in optimizer.state:
                optimizer.state[change.new] = {
                    key: _selected(value, change.kept)
                    if isinstance(value, Tensor) and value.shape == change.old.shape
                    else value
                    for key, value in optimizer.state.pop(change.old).items()
                }


def ascending(importance: Mapping[str, Tensor]) -> Iterator[tuple[float, str, int]]:
    """Every filter with its layer and number, the least important of all first.

    Importances are compared after division by the norm of their layer; equal ones stay in order.
    """
    scored = [
        (score, name, index)
        for name, scores in importance.items()
        for index, score in enumerate((scores / scores.norm().clamp(min=1e-30)).tolist())
    ]
    yield from sorted(scored, key=lambda entry: entry[0])


def shrink(part: nn.Module, kept: Mapping[int, Tensor | None]) -> list[Change]:
    """Keep some indices of a layer's tensors, by axis of its weight; None is all of them.

    Vectors follow the axis of the outputs, the first one given.
    """
    outputs = next(iter(kept))
    changes: list[Change] = []
    for name, tensor in (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)):
        wanted = kept if tensor.dim() > 1 else {0: kept[outputs]}
        axes = {a: i for a, i in wanted.items() if i is not None and len(i) < tensor.shape[a]}
        if not axes:
            continue
        if isinstance(tensor, nn.Parameter):
            new = nn.Parameter(_selected(tensor.detach(), axes), tensor.requires_grad)
            changes.append(Change(tensor, new, axes))
            setattr(part, name, new)
        else:
            setattr(part, name, _selected(tensor, axes))
    return changes


def _selected(tensor: Tensor, kept: Mapping[int, Tensor]) -> Tensor:
    for axis, indices in kept.items():
        tensor = tensor.index_select(axis, indices.to(tensor.device))
    return tensor
