"""The documented metrics of batches: loss, Dice by class and its mean, pixel accuracy.

Voxels are counted over all batches before anything is divided, so the figures do not depend on how
samples are cut into batches, and a class that one batch lacks is not skipped.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from delineate.contracts import Output
from delineate.errors import ConfigError
from delineate.metrics.overlap import confusion

__all__ = ["MetricsTracker"]


class MetricsTracker:
    """Adds up batches until `reset`.

    Args:
        num_classes: background included.
        class_names: of the classes from 1 on; None leaves their numbers.
    """

    def __init__(self, num_classes: int = 6, class_names: Sequence[str] | None = None) -> None:
        if num_classes < 2:
            raise ConfigError(
                f"num_classes is {num_classes}. Fix: at least 2, background included."
            )
        names = [str(i) for i in range(1, num_classes)] if class_names is None else class_names
        if len(names) != num_classes - 1:
            raise ConfigError(
                f"there are {len(names)} class_names for num_classes {num_classes}. "
                "Fix: one for each class but the background."
            )
        self.num_classes = num_classes
        self.class_names = tuple(names)
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self._matrix = np.zeros((self.num_classes, self.num_classes), np.int64)
        self._losses: dict[str, float] = {}
        self._samples = 0

    def update(
        self,
        prediction: Tensor | Output,
        labels: Tensor,
        loss: float | Tensor | Mapping[str, float | Tensor] | None = None,
    ) -> None:
        """Take in a batch.

        Args:
            prediction: logits (b, k, *s), or classes (b, *s).
            labels: (b, *s) classes, -1 where ignored.
            loss: of the batch, or its terms by name such as `total_loss`.
        """
        found = prediction.logits if isinstance(prediction, Output) else prediction
        if found is None:
            raise ConfigError("the network returned no logits. Fix: give those of a segmentation.")
        found = found.argmax(1) if found.dim() == labels.dim() + 1 else found
        if found.shape != labels.shape:
            raise ConfigError(
                f"predictions are {tuple(found.shape)} but labels {tuple(labels.shape)}. "
                "Fix: logits (b, k, *s) or classes (b, *s), with labels (b, *s)."
            )
        highest = max(int(t.max()) for t in (found, labels)) if labels.numel() else 0
        if highest >= self.num_classes:
            raise ConfigError(
                f"there is a class {highest} but num_classes is {self.num_classes}. Fix: classes "
                f"from 0 to {self.num_classes - 1}, not ids of masks, or another num_classes."
            )
        pair = (t.detach().cpu().numpy().astype(np.int32) for t in (found, labels))
        self._matrix += confusion(*pair, channels=self.num_classes)
        terms = loss if isinstance(loss, Mapping) else {} if loss is None else {"total_loss": loss}
        for name, value in terms.items():
            self._losses[name] = self._losses.get(name, 0.0) + float(value) * len(labels)
        self._samples += len(labels)

    def compute(self) -> dict[str, Any]:
        """`loss` and its terms, `dice`, `accuracy`, and `dice_per_class` by name.

        A class that is neither there nor found has a Dice of NaN and is left out of the mean.
        Without a batch, or a loss, there is NaN.
        """
        right, true, found = self._matrix.diagonal(), self._matrix.sum(1), self._matrix.sum(0)
        total = (true + found)[1:]
        with np.errstate(invalid="ignore"):
            dice = np.where(total > 0, 2 * right[1:] / np.maximum(total, 1), np.nan)
        seen = dice[~np.isnan(dice)]
        voxels = int(self._matrix.sum())
        losses = {name: total / self._samples for name, total in self._losses.items()}
        return {
            "loss": losses.get("total_loss", float("nan")),
            **{name: value for name, value in losses.items() if name != "total_loss"},
            "dice": float(seen.mean()) if len(seen) else float("nan"),
            "accuracy": float(right.sum() / voxels) if voxels else float("nan"),
            "dice_per_class": dict(zip(self.class_names, dice.tolist(), strict=True)),
        }
