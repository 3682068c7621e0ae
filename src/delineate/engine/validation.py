"""The Dice of whole prepared cases: the figure that picks the best weights."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from delineate.data import Cache
from delineate.inference import predict_logits, windows_of
from delineate.metrics.overlap import OVERLAP, count
from delineate.plan import Plan

__all__ = ["scorer"]


def scorer(
    cache: Cache, cases: Sequence[str], plan: Plan, *, device: str, overlap: float
) -> Callable[[nn.Module], dict[str, float]]:
    """A function from a network to `val_dice/<class>` over the cases and `val_dice`, their mean."""
    windows = windows_of(plan, overlap=overlap)
    labels = plan.labels

    @torch.inference_mode()
    def score(network: nn.Module) -> dict[str, float]:
        found = []
        for case in cases:
            image = torch.from_numpy(cache.read_image(case))
            logits = predict_logits(
                network, image, windows, channels=labels.channels, device=device
            )
            predicted = (logits > 0 if labels.overlapping else logits.argmax(0)).cpu().numpy()
            counts = count(predicted.astype(np.int16), cache.read_mask(case), labels)
            found.append([OVERLAP["dice"](counts[name]) for name in labels.names])
        means = np.mean(found, axis=0)
        by_class = {f"val_dice/{n}": float(m) for n, m in zip(labels.names, means, strict=True)}
        return by_class | {"val_dice": float(np.mean(means))}

    return score
