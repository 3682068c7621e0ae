"""What all U-shaped networks share: stages down, skips across, stages up, and their logits."""

from collections.abc import Callable, Sequence
from math import ceil, prod

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from delineate.contracts import Output
from delineate.models.blocks import channels_last, convolution, stack, transposed

__all__ = ["EncoderDecoder", "check_stages", "deepened", "way_down", "way_up"]


class EncoderDecoder(nn.Module):
    """Abstract: a network fills the four lists, finest first, and may join skips in its own way.

    Args:
        strides: per stage, the stride on entering it; the first is all ones.
        checkpointing: recompute each stage in the backward pass: less memory, a third more time.
    """

    encoder: nn.ModuleList
    """One module per stage."""
    up: nn.ModuleList
    """One up-sampling per stage but the coarsest: what `join` does to the coarser features."""
    decoder: nn.ModuleList
    """One module per stage but the coarsest; each takes what `join` returns."""
    heads: nn.ModuleList
    """Features to logits: the finest stage's alone, or one per decoder stage."""

    def __init__(self, strides: Sequence[Sequence[int]], *, checkpointing: bool) -> None:
        super().__init__()
        self.divisor = tuple(prod(steps) for steps in zip(*strides, strict=True))
        self.checkpointing = checkpointing

    def join(self, stage: int, coarse: Tensor, skip: Tensor) -> Tensor:
        """The coarse features, up-sampled, and the skip beside them."""
        return torch.cat((self.up[stage](coarse), skip), dim=1)

    def forward(self, image: Float[Tensor, "b c *s"]) -> Output:
        """Logits at the image's resolution; a size the strides do not divide is a ValueError."""
        return self.decode(self.encode(image))

    def encode(self, image: Float[Tensor, "b c *s"]) -> list[Tensor]:
        """The features of every stage, finest first."""
        x = self._enter(image)
        features = []
        for stage in self.encoder:
            x = self._run(stage, x)
            features.append(x)
        return features

    def decode(self, features: Sequence[Tensor]) -> Output:
        """Logits from what `encode` returned; coarser ones too while training, if there are heads.

        Each of `features` is left as it is.
        """
        x = features[-1]
        logits: list[Tensor] = []
        for i in reversed(range(len(self.decoder))):
            x = self._run(self._climb, i, x, features[i])
            if i == 0 or (self.training and i < len(self.heads)):
                logits.insert(0, self.heads[i](x))
        return Output(logits=logits[0], deep=tuple(logits[1:]))

    def _enter(self, image: Tensor) -> Tensor:
        """The image in the memory layout that is fast; a size that does not fit is a ValueError."""
        self._check_size(image)
        # Measured on a CPU: channels innermost make a training step in 3-D 1.1 to 1.4 times as fast
        # and inference 1.1 times; in 2-D they make a training step a tenth slower.
        innermost = image.dim() == 5 or not torch.is_grad_enabled()
        return channels_last(image) if innermost and image.device.type == "cpu" else image

    def _climb(self, stage: int, coarse: Tensor, skip: Tensor) -> Tensor:
        return self.decoder[stage](self.join(stage, coarse, skip))

    def _run(self, stage: Callable[..., Tensor], *inputs: int | Tensor) -> Tensor:
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(stage, *inputs, use_reentrant=False)
        return stage(*inputs)

    def _check_size(self, image: Tensor) -> None:
        size = tuple(image.shape[2:])
        if len(size) != len(self.divisor):
            raise ValueError(
                f"image: this {type(self).__name__} takes {len(self.divisor)} spatial axes, got "
                f"the shape {tuple(image.shape)}. "
                f"Fix: pass (b, c, {', '.join('ijk'[: len(self.divisor)])})."
            )
        if any(s % d for s, d in zip(size, self.divisor, strict=True)):
            fit = tuple(ceil(s / d) * d for s, d in zip(size, self.divisor, strict=True))
            raise ValueError(
                f"image: the size {size} is not divisible by the network's total stride "
                f"{self.divisor}. Fix: pad to {fit}."
            )


def way_down(
    in_channels: int,
    *,
    features: Sequence[int],
    strides: Sequence[Sequence[int]],
    kernels: Sequence[Sequence[int]],
    convolutions: Sequence[int],
) -> nn.ModuleList:
    """The stacks of a U-Net's encoder; the first convolution of each carries the stride."""
    widths = (in_channels, *features)
    return nn.ModuleList(
        stack(widths[i], widths[i + 1], kernels[i], strides[i], convolutions[i])
        for i in range(len(features))
    )


def way_up(
    out_channels: int,
    *,
    features: Sequence[int],
    strides: Sequence[Sequence[int]],
    kernels: Sequence[Sequence[int]],
    convolutions: Sequence[int],
    deep_supervision: bool,
    added: bool = False,
) -> tuple[nn.ModuleList, nn.ModuleList, nn.ModuleList]:
    """The up-samplings, stacks and heads of a U-Net's decoder, which has one stage less.

    Args:
        added: `join` adds a skip to the coarser features, and does not put it beside them.
    """
    ones = (1,) * len(strides[0])
    stages = range(len(features) - 1)
    wide = 1 if added else 2
    return (
        nn.ModuleList(transposed(features[i + 1], features[i], strides[i + 1]) for i in stages),
        nn.ModuleList(
            stack(wide * features[i], features[i], kernels[i], ones, convolutions[i])
            for i in stages
        ),
        nn.ModuleList(
            convolution(features[i], out_channels, ones, ones)
            for i in (stages if deep_supervision else stages[:1])
        ),
    )


def deepened(counts: Sequence[int], stages: int) -> tuple[int, ...]:
    """So many of the published counts as there are stages; deeper ones have as many as the last."""
    return tuple(counts[min(stage, len(counts) - 1)] for stage in range(stages))


def check_stages(
    network: str,
    *,
    features: Sequence[int],
    strides: Sequence[Sequence[int]],
    kernels: Sequence[Sequence[int]],
    **counts: Sequence[int],
) -> None:
    """Raise a ValueError, in the network's name, where a topology contradicts itself."""
    lists = {"features": features, "strides": strides, "kernels": kernels, **counts}
    if len({len(entries) for entries in lists.values()}) > 1 or len(features) < 2:
        got = ", ".join(f"{name} {len(entries)}" for name, entries in lists.items())
        raise ValueError(f"{network}: needs one entry per stage, at least two stages; got {got}.")
    dims = {len(entry) for entry in (*strides, *kernels)}
    if len(dims) > 1 or not dims <= {2, 3}:
        raise ValueError(
            f"{network}: strides and kernels must all have 2 or all have 3 axes; "
            f"got {sorted(dims)}."
        )
    if any(s != 1 for s in strides[0]):
        raise ValueError(f"{network}: the first stride must be all ones; got {tuple(strides[0])}.")
