"""The documented figures of a batch: logits against ids, as plain numbers.

Each is the mean over the cases of the batch in which a class is present, in truth or prediction,
and then over the classes. The background counts only if it is asked for: it is most of every scan,
and flatters. A mean of nothing is NaN. Ids below 0 are ignored.
"""

from collections.abc import Sequence

from torch import Tensor

from delineate.contracts import Output
from delineate.models import as_output
from delineate.systems.liver.agreement import mean, measure, right_share, summarise

__all__ = ["accuracy", "boundary_f1_score", "dice_coefficient", "jaccard_index"]

Logits = Tensor | Sequence[Tensor] | Output


def dice_coefficient(
    logits: Logits,
    targets: Tensor,
    num_classes: int = 3,
    smooth: float = 1e-5,
    *,
    include_background: bool = False,
) -> float:
    """2 |A and B| / (|A| + |B|).

    Args:
        logits: (b, k, *s), or what a network with deep supervision returns.
        targets: (b, *s) or (b, 1, *s) ids.
        num_classes: background included; further channels are of no class.
        smooth: added to both sides of the ratio.
        include_background: whether id 0 is a class.
    """
    return _figure("dice", logits, targets, num_classes, smooth, include_background)


def jaccard_index(
    logits: Logits,
    targets: Tensor,
    num_classes: int = 3,
    smooth: float = 1e-5,
    *,
    include_background: bool = False,
) -> float:
    """|A and B| / |A or B|; arguments as of `dice_coefficient`."""
    return _figure("iou", logits, targets, num_classes, smooth, include_background)


def accuracy(logits: Logits, targets: Tensor, *, include_background: bool = False) -> float:
    """The share of voxels that got the right id, of those that belong to a structure in truth.

    Args:
        logits: As of `dice_coefficient`.
        targets: As of `dice_coefficient`.
        include_background: Whether it is the share of all voxels.
    """
    pairs = zip(*_ids(logits, targets), strict=True)
    return mean(right_share(ours, true, background=include_background) for ours, true in pairs)


def boundary_f1_score(
    logits: Logits,
    targets: Tensor,
    num_classes: int = 3,
    tolerance: float = 1,
    spacing: Sequence[float] | None = None,
    *,
    include_background: bool = False,
) -> float:
    """The harmonic mean of the shares of both boundaries that lie near the other; 1 if perfect.

    Args:
        logits: As of `dice_coefficient`.
        targets: As of `dice_coefficient`.
        num_classes: As of `dice_coefficient`.
        tolerance: What is near, in mm, or in voxels without a spacing.
        spacing: mm along each axis.
        include_background: Whether id 0 is a class.
    """
    found = [
        measure(
            ours,
            true,
            classes=num_classes,
            background=include_background,
            spacing=spacing,
            tolerance=tolerance,
        )
        for ours, true in zip(*_ids(logits, targets), strict=True)
    ]
    return summarise(found, _names(num_classes, include_background))["bf1"]


def _figure(
    name: str, logits: Logits, targets: Tensor, classes: int, smooth: float, background: bool
) -> float:
    found = [
        measure(ours, true, classes=classes, background=background, smooth=smooth)
        for ours, true in zip(*_ids(logits, targets), strict=True)
    ]
    return summarise(found, _names(classes, background))[name]


def _names(classes: int, background: bool) -> list[str]:
    return [str(i) for i in range(0 if background else 1, classes)]


def _ids(logits: Logits, targets: Tensor):
    """The predicted and the true ids of each case."""
    scores = as_output(logits).logits
    if scores is None:
        raise ValueError("there are no logits (b, k, *s) to compare with a mask")
    if targets.dim() == scores.dim():
        targets = targets.squeeze(1)
    ours, true = scores.detach().argmax(1), targets.detach().long()
    if ours.shape != true.shape:
        raise ValueError(
            f"logits of the shape {tuple(scores.shape)} ask for ids of {tuple(ours.shape)}, got "
            f"{tuple(targets.shape)}"
        )
    return ours.cpu().numpy(), true.cpu().numpy()
