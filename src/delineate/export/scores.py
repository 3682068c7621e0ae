"""What is exported: from a batch of windows to scores, one tensor in, one tensor out."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from delineate.errors import ConfigError
from delineate.inference.ensemble import Ensemble
from delineate.inference.model import Model
from delineate.plan import Plan

__all__ = ["Scores", "blank_example", "refuse_suffix", "scores_of", "window_shape"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """The network of a model, and how its scores become classes."""

    network: nn.Module
    """(b, c, *window) to (b, k, *window), float32, on the CPU and in evaluation mode."""
    kind: str
    """'logits' or 'probabilities'."""
    threshold: float | None
    """None: the highest wins. Otherwise a class is there where its score exceeds it."""

    def classes(self, scores: Tensor) -> Tensor:
        """(b, *s) channel indices, or (b, k, *s) 0/1 where classes overlap."""
        return scores.argmax(dim=1) if self.threshold is None else scores > self.threshold


def scores_of(model: Model) -> Scores:
    """One network, or the mean of several; a vote over whole masks is no network: ConfigError."""
    overlapping = model.labels.overlapping
    if len(model.networks) == 1:
        kind = "logits"
    elif model.combine in ("probabilities", "logits"):
        kind = model.combine
    else:
        raise ConfigError(
            f"the model's {len(model.networks)} networks are combined by '{model.combine}' over "
            "whole masks, which no exported network can do. Fix: export one fold, or a package "
            "whose networks are averaged."
        )
    combine = "probabilities" if kind == "probabilities" else "logits"
    model.to("cpu")
    network = Ensemble(model.networks, combine=combine, overlapping=overlapping).eval()
    threshold = (0.5 if kind == "probabilities" else 0.0) if overlapping else None
    return Scores(network=network, kind=kind, threshold=threshold)


def window_shape(plan: Plan, batch: int) -> tuple[int, ...]:
    """(b, c, *s) of what the network is given."""
    return (batch, len(plan.channels), *(plan.patch[axis] for axis in plan.seen_axes))


def blank_example(plan: Plan) -> Tensor:
    """What is traced with: an export keeps its example, which must not be anybody's scan."""
    return torch.zeros(window_shape(plan, 2))


def refuse_suffix(path: Path, wanted: str) -> None:
    """A file is named after what it holds, since other programs go by the name."""
    if path.suffix != wanted:
        raise ConfigError(f"{path}: the file must end in {wanted}. Fix: -o {path.stem}{wanted}")
