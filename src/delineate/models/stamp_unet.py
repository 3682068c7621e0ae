"""STAMP: Dinsdale et al., Medical Image Analysis 81, 102583 (2022): a U-Net pruned as it trains.

Every few epochs the least important filters are removed for good, and the network recovers. The
importance of filter i of a layer, divided by the norm of its layer's importances, is compared over
the whole network:

    L1, L2    the norm of the filter's weights
    Taylor    |sum over voxels of a_i dL/da_i|, a_i what the layer hands on

What a layer hands on is relu(z) or z, with z linear in its last parameters t, so that the sum is
t . dL/dt exactly: the scale and shift of the normalisation, or else the kernel. No activation is
kept; the gradients that a training step leaves behind are enough.

Channel dropout prepares for it: a layer whose filters rank low is silenced more often, a layer's
rate being the mean rank of its filters, over the largest such mean, times a base rate.

The U-Net is `delineate.models.PlainUNet`. A filter that goes takes with it its channel in every
kernel that reads it, also across skips: the network computes what it would with that channel at
zero, and is smaller. `structure()` says what is left, and builds the same network again.

How we differ: transposed convolutions are pruned too; each layer keeps one filter; parameters that
shrink are new ones, and `Pruning.adapt` moves an optimiser's moments along.
"""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from delineate.models.channel_pruning import Change, Pruning, ascending, shrink
from delineate.models.plain_unet import Layer, PlainUNet

__all__ = ["STAMPUNet"]

BASE = 0.1
"""Dropout of the layer that ranks lowest."""
Mode = Literal["Taylor", "L1", "L2"]
Kernel = nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d


class STAMPUNet(PlainUNet):
    """A U-Net that loses its least important filters; in two or three dimensions.

    Args:
        spatial_dims: axes of an image.
        init_features: channels of the finest level before pruning; each coarser one has twice them.
        depth: how often the resolution is halved.
        batch_norm: whether one follows each convolution.
        dropout: how likely a convolution's channel is silent while training; by layer where pruning
            has set it.
        xavier: first weights by Glorot's rule instead of He's.
        widths: filters of each layer of a network that has been pruned; see `structure`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        spatial_dims: Literal[2, 3] = 2,
        init_features: int = 64,
        depth: int = 4,
        batch_norm: bool = False,
        dropout: float | Mapping[str, float] = BASE,
        xavier: bool = False,
        widths: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            spatial_dims=spatial_dims,
            init_features=init_features,
            depth=depth,
            batch_norm=batch_norm,
            dropout=dropout if isinstance(dropout, float | int) else 0.0,
            xavier=xavier,
        )
        blocks = [("encoder", level) for level in range(depth + 1)]
        blocks += (("decoder", level) for level in range(depth))
        self._layers = tuple(f"{way}.{level}.{n}" for way, level in blocks for n in (0, 1))
        self._ups = tuple(f"up.{level}" for level in range(depth))
        if isinstance(dropout, Mapping):
            self._set_dropout(dropout)
        if widths is not None:
            self._keep({name: torch.arange(n) for name, n in self._checked(widths).items()})

    @property
    def widths(self) -> dict[str, int]:
        """Filters of each layer that can lose some, by its name."""
        return {name: _filters(self.get_submodule(name)) for name in (*self._layers, *self._ups)}

    def structure(self) -> dict[str, Any]:
        """The arguments that build a network of the same widths and dropout again."""
        rates = {name: self._layer(name).dropout.p for name in self._layers}
        return {"widths": self.widths, "dropout": rates}

    def importance(self, mode: Mode) -> dict[str, Tensor]:
        """How much each filter matters, by layer; Taylor asks for the gradients of a loss.

        Taylor's of several batches may be added up.
        """
        return {name: self._importance(name, mode) for name in self.widths}

    def prune(self, importance: Mapping[str, Tensor], count: int = 1) -> Pruning:
        """Remove the least important filters of the whole network, each layer keeping one.

        Args:
            importance: of every filter of the layers that may lose some, by layer.
            count: how many filters go.
        """
        left = self.widths
        wrong = [n for n, s in importance.items() if n not in left or s.shape != (left[n],)]
        most = sum(left[name] - 1 for name in importance if name in left)
        if wrong or not 0 <= count <= most:
            raise ValueError(
                f"prune: {wrong[0]} has no such filters. Fix: pass what importance() returns."
                if wrong
                else f"prune: {count} filters are to go, but of these layers {most} can."
            )
        gone: dict[str, list[int]] = {}
        for _, name, index in ascending(importance):
            if count and left[name] > 1:
                gone.setdefault(name, []).append(index)
                left[name] -= 1
                count -= 1
        widths = self.widths
        kept = {n: [i for i in range(widths[n]) if i not in lost] for n, lost in gone.items()}
        changes = self._keep({name: torch.tensor(indices) for name, indices in kept.items()})
        return Pruning(removed=gone, changes=changes)

    def target_dropout(self, importance: Mapping[str, Tensor], *, base: float = BASE) -> None:
        """Silence the channels of those layers more often whose filters rank low."""
        names = [name for _, name, _ in ascending(importance) if name in self._layers]
        ranks = dict.fromkeys(names, 0.0)
        for place, name in enumerate(names):
            ranks[name] += (len(names) - 1 - place) / len(importance[name])
        largest = max(ranks.values(), default=0.0) or 1.0
        self._set_dropout({name: base * rank / largest for name, rank in ranks.items()})

    def _set_dropout(self, rates: Mapping[str, float]) -> None:
        unknown = rates.keys() - set(self._layers)
        if unknown or not all(0 <= rate < 1 for rate in rates.values()):
            raise ValueError(
                f"STAMPUNet: dropout is a rate in [0, 1) for each of {', '.join(self._layers)}; "
                f"got {dict(rates)}."
            )
        for name, rate in rates.items():
            self._layer(name).dropout.p = rate

    def _checked(self, widths: Mapping[str, int]) -> Mapping[str, int]:
        full = self.widths
        if not all(1 <= n <= full.get(name, 0) for name, n in widths.items()):
            raise ValueError(f"STAMPUNet: widths must lie in 1 to {full}; got {dict(widths)}.")
        return widths

    def _layer(self, name: str) -> Layer:
        layer = self.get_submodule(name)
        assert isinstance(layer, Layer)
        return layer

    def _importance(self, name: str, mode: Mode) -> Tensor:
        part = self.get_submodule(name)
        kernel = _kernel(part)
        axis = _output_axis(part)
        if mode != "Taylor":
            rows = kernel.weight.detach().transpose(0, axis).flatten(1)
            return rows.norm(p={"L1": 1, "L2": 2}[mode], dim=1)
        last = part.norm if isinstance(part, Layer) and part.norm is not None else kernel
        total = kernel.weight.new_zeros(_filters(part), dtype=torch.float32)
        for parameter in last.parameters(recurse=False):
            if parameter.grad is None:
                raise ValueError(
                    f"importance: {name} has no gradient. Fix: call backward() on a loss first."
                )
            product = (parameter * parameter.grad).detach().float()
            rows = product if product.dim() == 1 else product.transpose(0, axis)
            total += rows.reshape(len(rows), -1).sum(1)
        return total.abs()

    def _reads(self, name: str) -> tuple[str, ...]:
        """The layers whose channels a layer takes, in their order; none for the image's."""
        if name == "head":
            return ("decoder.0.1",)
        way, level, *place = name.split(".")
        if place == ["1"]:
            return (f"{way}.{level}.0",)
        if way == "decoder":
            return (f"up.{level}", f"encoder.{level}.1")
        if way == "encoder":
            return (f"encoder.{int(level) - 1}.1",) if level != "0" else ()
        deepest = int(level) + 1 == len(self.up)
        return (f"{'encoder' if deepest else 'decoder'}.{int(level) + 1}.1",)

    def _keep(self, kept: Mapping[str, Tensor]) -> tuple[Change, ...]:
        """Shrink every tensor to the filters that stay."""
        widths = self.widths
        index = {name: kept.get(name, torch.arange(n)) for name, n in widths.items()}
        changes: list[Change] = []
        for name in (*widths, "head"):
            part = self.get_submodule(name)
            start, inputs = 0, []
            for source in self._reads(name):
                inputs.append(index[source] + start)
                start += widths[source]
            inner = torch.cat(inputs) if inputs else None
            outer = index.get(name)
            axis = 0 if name == "head" else _output_axis(part)
            changes += shrink(_kernel(part), {axis: outer, 1 - axis: inner})
            if isinstance(part, Layer) and part.norm is not None:
                changes += shrink(part.norm, {0: outer})
        return tuple(changes)


def _kernel(part: nn.Module) -> Kernel:
    """The convolution of a layer; a transposed one, or the head, is one itself."""
    kernel = part.convolution if isinstance(part, Layer) else part
    assert isinstance(kernel, Kernel)
    return kernel


def _output_axis(part: nn.Module) -> int:
    """Along which axis of its kernel a layer's filters lie: a transposed one's inputs are first."""
    return 0 if isinstance(part, Layer) else 1


def _filters(part: nn.Module) -> int:
    return _kernel(part).weight.shape[_output_axis(part)]
