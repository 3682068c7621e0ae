"""What a network says of a scan as a whole: its image-level output, over all windows."""

from functools import partial

import torch
from torch import Tensor, nn

from delineate.data import preprocess
from delineate.errors import DataError
from delineate.inference.forecast import foresee
from delineate.inference.model import Model
from delineate.inference.sliding import Windows, stream_logits
from delineate.io import Volume
from delineate.models.foreign import as_output

__all__ = ["find_presence"]


def find_presence(
    model: Model,
    volume: Volume,
    *,
    memory_gb: float | None = None,
    device: torch.device | str = "cpu",
) -> dict[str, float]:
    """By class with an id, the probability that the scan has it.

    It is there if one window shows it: the highest probability of all windows counts, each the mean
    over the model's networks.

    Args:
        model: On `device`, with one image-level output for each class that has an id.
        volume: All channels of the model.
        memory_gb: What the process may hold; a budget that holds no window is a DataError.
        device: Where windows are predicted.
    """
    plan = model.plan
    windows = Windows(patch=plan.patch, overlap=model.overlap, slice_axis=plan.slice_axis)
    prepared = preprocess(volume, plan)
    # It may try the network on zeros: what that says must not be among what is seen.
    trial = partial(_look, model.networks, [])
    foresee(
        trial, prepared, windows, channels=1, threshold=None, device=device, memory_gb=memory_gb
    )
    seen: list[Tensor] = []
    look = partial(_look, model.networks, seen)
    image = torch.from_numpy(prepared.array)
    for _ in stream_logits(look, image, windows, channels=1, device=device):
        pass
    highest = torch.cat(seen).amax(dim=0).tolist()
    names = [leaf.name for leaf in plan.labels.leaves]
    if len(highest) != len(names):
        raise DataError(
            f"the network has {len(highest)} image-level outputs, but there are {len(names)} "
            f"classes: {', '.join(names)}. Fix: train it with one output for each."
        )
    return dict(zip(names, highest, strict=True))


def _look(networks: tuple[nn.Module, ...], seen: list[Tensor], crops: Tensor) -> Tensor:
    """Note what the networks say of each window; as logits there is nothing."""
    found = []
    for network in networks:
        presence = as_output(network(crops)).presence
        if presence is None:
            raise DataError(
                "the network has no image-level output. Fix: train one that has, such as "
                "MultiTaskUNet or ResNet, or ask its mask with `does: gate`."
            )
        found.append(presence.float().sigmoid())
    seen.append(torch.stack(found).mean(dim=0))
    return crops.new_zeros((len(crops), 1, *crops.shape[2:]))
