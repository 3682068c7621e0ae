"""What each class counts in the loss, where the experiment leaves that to the data."""

from collections import Counter
from collections.abc import Sequence

from delineate.errors import ConfigError
from delineate.systems.spine.schema.settings import Model

__all__ = ["weights_of"]


def weights_of(
    model: Model, task: str, classes: Sequence[str] | None, labels: Sequence[str | None]
) -> tuple[float, ...] | None:
    """`class_weight` in numbers: balanced is 1 over the share of a class, 1 on average.

    Args:
        labels: The classes of the training slices.
    """
    if model.class_weight != "balanced":
        return model.class_weight
    if task != "classification" or classes is None:
        raise ConfigError(
            "model.class_weight: balanced is for classes of images. Fix: numbers, such as [1, 5]."
        )
    counts = Counter(labels)
    absent = [name for name in classes if not counts[name]]
    if absent:
        raise ConfigError(
            f"model.class_weight: balanced, but no training slice is of {', '.join(absent)}. "
            "Fix: numbers, or slices of it."
        )
    total = sum(counts[name] for name in classes)
    return tuple(total / (len(classes) * counts[name]) for name in classes)
