"""The documented transfer in PyTorch: a trained network, its layers in order, another head."""

from pathlib import Path

import torch
from torch import Tensor, nn

from delineate.contracts import Output, Target
from delineate.losses import Focal, GeneralisedDice, WeightedSum
from delineate.models.blocks import convolution
from delineate.models.hybrid import HybridCNNTransformer
from delineate.package import open_model
from delineate.systems.stroke.models_folder import find_model

__all__ = [
    "combined_dice_focal_loss",
    "dice_coefficient",
    "layers_of",
    "load_model",
    "replace_head",
]

SPACE = 3


def load_model(path: str | Path) -> nn.Module:
    """The network of a stage, ready to be trained on; a documented `.h5` name is ours."""
    network = open_model(find_model(path)).networks[0]
    return network.requires_grad_(True).train()


def layers_of(network: nn.Module) -> list[nn.Module]:
    """The layers that have weights of their own, from the image on."""
    return [part for part in network.modules() if list(part.parameters(recurse=False))]


def replace_head(network: HybridCNNTransformer, classes: int) -> None:
    """Put in fresh heads for so many classes besides the background."""
    for head in network.heads:
        assert isinstance(head, nn.Sequential)
        old = head[-1]
        assert isinstance(old, nn.Conv2d | nn.Conv3d)
        ones = (1,) * len(old.kernel_size)
        head[-1] = convolution(old.in_channels, classes + 1, ones, ones).to(old.weight.device)


def combined_dice_focal_loss(output: Output | Tensor, mask: Tensor) -> Tensor:
    """0.7 generalised Dice + 0.3 focal (gamma 3, alpha 0.25), also of the coarser logits.

    Args:
        output: What the network gave: logits (b, k, *s), background first.
        mask: Of the same batch, (b, *s) or (b, 1, *s): 0, 1, ..., and -1 where there is no verdict.
    """
    given = output if isinstance(output, Output) else Output(logits=output)
    terms = WeightedSum(
        {"dice": GeneralisedDice(), "focal": Focal(gamma=3.0, alpha=0.25)},
        {"dice": 0.7, "focal": 0.3},
    )(given, Target(mask=_ids(mask)))
    return torch.stack(list(terms.values())).sum()


@torch.no_grad()
def dice_coefficient(output: Output | Tensor, mask: Tensor) -> float:
    """Hard Dice of all that is not background, over the batch; 1 where both are empty."""
    logits = output.logits if isinstance(output, Output) else output
    assert logits is not None
    ids = _ids(mask)
    known = ids >= 0
    found, true = (logits.argmax(1) > 0) & known, (ids > 0) & known
    sizes = int(found.sum() + true.sum())
    return 2 * int((found & true).sum()) / sizes if sizes else 1.0


def _ids(mask: Tensor) -> Tensor:
    """Without the axis of channels."""
    return (mask[:, 0] if mask.dim() > 1 + SPACE else mask).long()
