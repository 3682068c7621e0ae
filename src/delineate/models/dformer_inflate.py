"""Weights of two dimensions for a DFormer of three: from a Swin transformer, or from itself in 2-D.

Attention and perceptrons have the same shapes in any number of dimensions. Where there is one more
axis, the first in space, a kernel that becomes a token and the merging of tokens are repeated along
it and divided by how often; what spreads tokens in space is repeated; positions are told within a
plane alone. A volume whose planes are all alike is so answered as its plane is in 2-D.

Swin's tables of relative positions have no place here, and its windows are the local groups.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["inflate_2d"]

_LAYERS = {
    "patch_embed.proj": "embed.convolution",
    "patch_embed.norm": "embed.norm",
    "attn.qkv": "attention.qkv",
    "attn.proj": "attention.proj",
    "mlp.fc1": "mlp.0",
    "mlp.fc2": "mlp.2",
}
"""Swin's words for what we have too."""
_OF_NEIGHBOURS = re.compile(r"merges\.\d+\.(norm|reduce)\.\w+|(up|heads)\.\d+\.expand\.weight")
"""Weights that have as many rows or columns as a block has tokens or voxels, times the channels."""


def inflate_2d(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights under our names, and in our shapes where these have one axis more.

    What cannot be made to fit, and what we do not have, is handed on as it is.

    Args:
        weights: of a Swin transformer as its authors or timm name them, or of a DFormer.
        own: the weights of the DFormer that is to begin with them.
    """
    found = {}
    for name, weight in _named(weights).items():
        like = own.get(name)
        found[name] = weight if like is None else _deepened(name, weight, like)
    return found


def _named(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Under our names if they are a Swin's."""
    first = "layers.0.blocks.0.attn.qkv.weight"
    begin = next((n.removesuffix(first) for n in weights if n.endswith(first)), None)
    if begin is None:
        return dict(weights)
    # The authors merge at the end of a stage, timm at the beginning of the next one.
    late = f"{begin}layers.0.downsample.reduction.weight" not in weights
    found = {}
    for name, weight in weights.items():
        ours = _ours(name.removeprefix(begin), late=late)
        if re.fullmatch(r"merges\.\d+\.(norm|reduce)\.\w+", ours):
            weight = _turned(weight)
        found[ours] = weight
    return found


def _ours(name: str, *, late: bool) -> str:
    if match := re.fullmatch(r"layers\.(\d+)\.downsample\.(norm|reduction)\.(\w+)", name):
        layer = match[2].replace("reduction", "reduce")
        return f"merges.{int(match[1]) - late}.{layer}.{match[3]}"
    if match := re.fullmatch(r"layers\.(\d+)\.blocks\.(\d+)\.(.+)\.(\w+)", name):
        return f"encoder.{match[1]}.blocks.{match[2]}.{_LAYERS.get(match[3], match[3])}.{match[4]}"
    layer, _, leaf = name.rpartition(".")
    return f"{_LAYERS.get(layer, layer)}.{leaf}"


def _turned(weight: Tensor) -> Tensor:
    """Four neighbours in our order: a Swin counts rows before columns."""
    parts = weight.unflatten(-1, (2, 2, -1))
    return parts.transpose(-3, -2).flatten(-3)


def _deepened(name: str, weight: Tensor, like: Tensor) -> Tensor:
    """A weight of a plane for a volume."""
    if weight.shape == like.shape:
        return weight
    if weight.dim() == 4 and like.dim() == 5 and weight.shape[2:] == like.shape[3:]:
        return _kernel(name, weight, like.shape[2])
    if weight.dim() != like.dim() or not _OF_NEIGHBOURS.fullmatch(name):
        return weight
    times = [here // there for here, there in zip(like.shape, weight.shape, strict=True)]
    repeated = weight.repeat(times) if min(times) else weight
    if repeated.shape != like.shape:
        return weight
    return repeated / times[1] if len(times) == 2 else repeated


def _kernel(name: str, weight: Tensor, depth: int) -> Tensor:
    """One that makes tokens sees its planes' mean; one of positions sees the middle plane."""
    planes = weight[:, :, None]
    if "position" not in name:
        return planes.expand(-1, -1, depth, -1, -1) / depth
    empty = torch.zeros_like(planes).expand(-1, -1, depth // 2, -1, -1)
    return torch.cat((empty, planes, empty), dim=2)
