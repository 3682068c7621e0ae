"""What a network returned and what a batch holds, in one shape: (b, k, h, w), or (b, k)."""

import torch.nn.functional as F
from torch import Tensor

from delineate.errors import DataError
from delineate.models import as_output

__all__ = ["as_channels", "chosen", "read_values"]


def read_values(
    result: object, images: Tensor, task: str, name: str
) -> tuple[list[Tensor], Tensor | None]:
    """The values, those of coarser resolutions behind them, and logits of what is there at all.

    Args:
        result: What the network returned for `images`.
        name: Of the network, for messages.
    """
    if task == "segmentation" and isinstance(result, Tensor) and result.dim() == images.dim():
        return [result], None
    output = as_output(result, images)
    if task == "classification":
        values = output.presence
        if values is None and output.logits is not None:
            values = output.logits.flatten(2).mean(2)
        assert values is not None, "an Output has logits or presence"
        return [values], None
    if output.logits is None:
        raise DataError(
            f"{name} tells classes of images, but the data have masks. "
            "Fix: a network that draws masks, or a crawler of classes."
        )
    return [output.logits, *output.deep], output.presence


def chosen(values: Tensor) -> Tensor:
    """The chosen class of each pixel or image; of a single channel, whether it is above 0.5."""
    return (values[:, 0] > 0.5).long() if values.shape[1] == 1 else values.argmax(1)


def as_channels(label: Tensor, channels: int, task: str) -> Tensor:
    """A truth with as many channels as the network has."""
    label = label.float()
    if task == "classification":
        if channels == 1:
            return label[:, 1:2]
        return F.pad(label, (0, channels - label.shape[1]))
    if channels == 1:
        return label
    ids = label[:, 0].round().long()
    if int(ids.max()) >= channels:
        raise DataError(
            f"a mask holds the class {int(ids.max())}, but the network has {channels} channels. "
            "Fix: out_channels of the data."
        )
    return F.one_hot(ids, channels).movedim(-1, 1).float()
