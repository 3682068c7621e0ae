"""How right the answers of a training are, voxel by voxel, counted while it learns."""

from typing import Any

import torch
from torch import Tensor

from delineate.contracts import Output, Target

__all__ = ["Tally"]


class Tally:
    """A term of the loss without weight: it counts hard answers, and what it returns is 0.

    A forward pass without gradients is not counted, nor are ignored voxels.
    """

    image_level = True
    """Asked once, at the finest resolution."""

    def __init__(self) -> None:
        self._counts = torch.zeros(0, 3, dtype=torch.float64)
        self._voxels = torch.zeros(2, dtype=torch.float64)

    def __call__(self, output: Output, target: Target) -> Tensor:
        """Count, and add nothing."""
        if output.logits is None or target.mask is None:
            raise ValueError("Tally counts voxels; this batch has no logits or no mask.")
        if torch.is_grad_enabled() and not output.logits.is_meta:
            self._count(output.logits.detach(), target.mask)
        return output.logits.new_zeros(())

    def take(self) -> tuple[float, float]:
        """Dice over all voxels since the last call, the mean of the structures, and accuracy.

        NaN of nothing; a structure that was neither there nor found has no say.
        """
        both, found, true = self._counts.T
        seen = found + true > 0
        dice = (2 * both[seen] / (found + true)[seen]).mean()
        right, total = self._voxels.tolist()
        self._counts, self._voxels = self._counts[:0], torch.zeros_like(self._voxels)
        return float(dice), right / total if total else float("nan")

    def state_dict(self) -> dict[str, Any]:
        """The counts so far."""
        return {"counts": self._counts, "voxels": self._voxels}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on counting."""
        self._counts, self._voxels = state["counts"], state["voxels"]

    def _count(self, logits: Tensor, mask: Tensor) -> None:
        """Structures: all channels of overlapping masks, all but the background of others."""
        known = mask >= 0
        if mask.dim() == logits.dim():
            answers, truth = (logits > 0) & known, mask > 0.5
            axes = [axis for axis in range(mask.dim()) if axis != 1]
            counts = [pair.sum(axes) for pair in (answers & truth, answers, truth & known)]
            right = ((logits > 0) == truth) & known
        else:
            channels, ids = logits.shape[1], mask[known].long()
            answers = logits.argmax(1)[known]
            table = torch.bincount(ids * channels + answers, minlength=channels**2)
            table = table.view(channels, channels)
            counts = [part[1:] for part in (table.diagonal(), table.sum(0), table.sum(1))]
            right = table.diagonal()
        voxels = torch.stack([right.sum(), known.sum()]).double()
        self._counts = self._counts.to(voxels.device)
        if not len(self._counts):
            self._counts = voxels.new_zeros(len(counts[0]), 3)
        self._counts = self._counts + torch.stack(counts, 1).double()
        self._voxels = self._voxels.to(voxels.device) + voxels
