"""What a network says of images: whole or by windows, of all classes or of one structure."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from delineate.contracts import Output
from delineate.errors import ConfigError
from delineate.inference import Windows, predict_logits
from delineate.models import as_output

__all__ = ["answer", "choose", "finest", "predict", "slice_axis"]


def answer(network: nn.Module, images: Tensor, *, classes: int, target: int | None) -> Output:
    """All that a network returns of images (b, c, *s), with the channels of `choose`."""
    return choose(as_output(network(images), images), classes=classes, target=target)


def predict(
    ask: Callable[[Tensor], Tensor],
    images: Tensor,
    *,
    channels: int,
    patch: Sequence[int] | None,
    batch: int,
) -> Tensor:
    """Logits (b, k, *s) without gradients, window by window where an image exceeds the patch.

    Args:
        ask: From images to logits.
        images: (b, c, *s), on the network's device.
        channels: How many classes the logits have.
        patch: Voxels of a window, of which one that is 1 voxel long is a slice for a 2-D network;
            None asks for whole images.
        batch: Windows that are asked together.
    """
    with torch.no_grad():
        axis = slice_axis(patch)
        size = images.shape[2:]
        if patch is None or (
            axis is None and all(n <= p for n, p in zip(size, patch, strict=True))
        ):
            return ask(images)
        windows = Windows(patch=tuple(patch), batch=batch, slice_axis=axis)
        found = [
            predict_logits(ask, image, windows, channels=channels, device=images.device)
            for image in images
        ]
        return torch.stack(found)


def choose(output: Output, *, classes: int, target: int | None) -> Output:
    """The channels that are trained: all, or with a target label background and that structure.

    A network of another number of channels is a ConfigError.
    """
    channels = finest(output).shape[1]
    if target is None:
        if channels != classes:
            raise ConfigError(
                f"the network puts out {channels} channels but num_classes is {classes}. "
                "Fix: build it with num_classes outputs."
            )
        return output
    if channels == 2:
        return output
    if target >= channels:
        raise ConfigError(
            f"target_label is {target} but the network puts out {channels} channels. "
            f"Fix: at least {target + 1}, or 2."
        )
    pair = [0, target]
    deep = tuple(logits[:, pair] for logits in output.deep)
    return replace(output, logits=finest(output)[:, pair], deep=deep)


def finest(output: Output) -> Tensor:
    """The logits at the image's resolution."""
    if output.logits is None:
        raise ConfigError("the network puts out no logits: it cannot draw a mask.")
    return output.logits


def slice_axis(patch: Sequence[int] | None) -> int | None:
    """The axis of a volume that a 2-D network walks along: where the patch is 1 voxel long."""
    return list(patch).index(1) if patch is not None and len(patch) == 3 and 1 in patch else None
