"""What scanners do to images: blur, coarse sampling, thick slices, uneven coils."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from delineate.augment.limits import check_number, check_probability, check_range
from delineate.augment.separable import along_axes, blurring, interpolating, smooth_basis
from delineate.augment.transform import Draw, Frame, Intensity, Range, draw_seed

__all__ = ["BiasField", "GaussianBlur", "LowResolution", "PartialVolume"]


class GaussianBlur(Intensity):
    """Blur with a Gaussian that is round in mm.

    Args:
        sigma: in voxels along the finest axis, fewer along coarser ones.
        channel_probability: of blurring each channel of a drawn sample.
    """

    def __init__(
        self,
        *,
        sigma: Range = (0.5, 1.0),
        probability: float = 0.2,
        channel_probability: float = 0.5,
    ) -> None:
        check_range(self, "sigma", sigma, low=0)
        check_probability(self, probability)
        check_number(self, "channel_probability", channel_probability, low=0, high=1)
        self.sigma = sigma
        self.probability = probability
        self.channel_probability = channel_probability

    def values(self, rng: np.random.Generator, frame: Frame) -> Draw:
        """One sigma a channel, None where it stays sharp."""
        return {"sigma": _some(rng, self.sigma, self.channel_probability, frame.channels)}

    def change(
        self, image: Float[Tensor, "b c *s"], draws: list[Draw], spacing: tuple[float, ...]
    ) -> None:
        """Blur the drawn channels."""
        rows, sigma = _drawn(image, draws, "sigma")
        if len(sigma) == 0:
            return
        matrices = [
            blurring(sigma * (min(spacing) / mm), size)
            for mm, size in zip(spacing, image.shape[2:], strict=True)
        ]
        image[rows] = along_axes(image[rows], matrices)


class LowResolution(Intensity):
    """Sample coarsely (nearest voxel) and interpolate back (linear).

    Axes whose voxels are more than 3 times as long as the finest stay as they are.

    Args:
        scale: the coarse resolution as a share of the full one.
        channel_probability: of coarsening each channel of a drawn sample.
    """

    def __init__(
        self,
        *,
        scale: Range = (0.5, 1.0),
        probability: float = 0.25,
        channel_probability: float = 0.5,
    ) -> None:
        check_range(self, "scale", scale, low=0.01, high=1)
        check_probability(self, probability)
        check_number(self, "channel_probability", channel_probability, low=0, high=1)
        self.scale = scale
        self.probability = probability
        self.channel_probability = channel_probability

    def values(self, rng: np.random.Generator, frame: Frame) -> Draw:
        """One scale a channel, None where it stays fine."""
        return {"scale": _some(rng, self.scale, self.channel_probability, frame.channels)}

    def change(
        self, image: Float[Tensor, "b c *s"], draws: list[Draw], spacing: tuple[float, ...]
    ) -> None:
        """Coarsen the drawn channels."""
        rows, scales = _drawn(image, draws, "scale")
        if len(scales) == 0:
            return
        matrices = [
            None if mm > 3 * min(spacing) else _down_and_up(scales, size)
            for mm, size in zip(spacing, image.shape[2:], strict=True)
        ]
        image[rows] = along_axes(image[rows], matrices)


class PartialVolume(Intensity):
    """Thick slices along one axis: each the mean of the tissue in it, then interpolated (linear).

    In a stack of slices the axis lies within their plane: across, they are thick already.

    Args:
        thickness: of the slices, in voxels.
    """

    def __init__(self, *, thickness: Range = (1.5, 4.0), probability: float = 0.1) -> None:
        check_range(self, "thickness", thickness, low=1)
        check_probability(self, probability)
        self.thickness = thickness
        self.probability = probability

    def values(self, rng: np.random.Generator, frame: Frame) -> Draw:
        """An axis and a thickness."""
        return {"axis": int(rng.choice(frame.plane)), "thickness": rng.uniform(*self.thickness)}

    def change(
        self, image: Float[Tensor, "b c *s"], draws: list[Draw], spacing: tuple[float, ...]
    ) -> None:
        """Average each sample along its axis."""
        for sample, draw in zip(image, draws, strict=True):
            size = image.shape[2 + draw["axis"]]
            matrices: list[Tensor | None] = [None] * len(spacing)
            matrices[draw["axis"]] = _thick_slices(size, draw["thickness"]).to(image)
            sample.copy_(along_axes(sample, matrices))


class BiasField(Intensity):
    """Multiply the image, counted from its darkest value, by a smooth field.

    Args:
        strength: standard deviation of the field's logarithm at its control points, 4 an axis.
    """

    def __init__(self, *, strength: Range = (0.1, 0.3), probability: float = 0.15) -> None:
        check_range(self, "strength", strength, low=0)
        check_probability(self, probability)
        self.strength = strength
        self.probability = probability

    def values(self, rng: np.random.Generator, frame: Frame) -> Draw:
        """A strength, and the seed of the control points."""
        return {"strength": float(rng.uniform(*self.strength)), "seed": draw_seed(rng)}

    def change(
        self, image: Float[Tensor, "b c *s"], draws: list[Draw], spacing: tuple[float, ...]
    ) -> None:
        """Shade each sample; its channels share the field."""
        size = image.shape[2:]
        bases = [smooth_basis(n, 4).to(image) for n in size]
        for sample, draw in zip(image, draws, strict=True):
            rng = np.random.Generator(np.random.Philox(key=draw["seed"]))
            knots = rng.normal(0, draw["strength"], (1, *(6 for _ in size)))
            field = along_axes(torch.from_numpy(knots).to(image), bases).exp_()
            low = sample.flatten(1).amin(1).view(-1, *(1 for _ in size))
            sample.sub_(low).mul_(field).add_(low)


def _some(
    rng: np.random.Generator, limits: Range, probability: float, channels: int
) -> list[float | None]:
    """A value for some of the channels."""
    chances, values = rng.random(channels), rng.uniform(*limits, channels)
    return [
        float(v) if chance < probability else None
        for chance, v in zip(chances, values, strict=True)
    ]


def _drawn(
    image: Tensor, draws: list[Draw], key: str
) -> tuple[tuple[Tensor, Tensor], Float[Tensor, " n"]]:
    """Sample and channel of every value that was drawn, and the values."""
    found = [
        (slot, channel, value)
        for slot, draw in enumerate(draws)
        for channel, value in enumerate(draw[key])
        if value is not None
    ]
    slots, channels, values = zip(*found, strict=True) if found else ((), (), ())
    index = torch.tensor((slots, channels), device=image.device, dtype=torch.long)
    return (index[0], index[1]), torch.tensor(values, device=image.device, dtype=image.dtype)


def _down_and_up(scales: Float[Tensor, " n"], size: int) -> Float[Tensor, "n {size} {size}"]:
    """To `round(size * scale)` samples by nearest neighbour, and back by linear interpolation."""
    voxels = torch.arange(size, device=scales.device, dtype=scales.dtype)
    matrices = []
    for coarse in (scales * size).round().clamp(min=1).int().tolist():
        step = size / coarse
        nearest = torch.floor((voxels[:coarse] + 0.5) * step).clamp(max=size - 1)
        down = (nearest[:, None] == voxels).to(scales.dtype)
        matrices.append(
            interpolating(((voxels + 0.5) / step - 0.5).clamp(0, coarse - 1), coarse) @ down
        )
    return torch.stack(matrices)


def _thick_slices(size: int, thickness: float) -> Float[Tensor, "{size} {size}"]:
    """The mean over each of `round(size / thickness)` slices, and linear interpolation back."""
    count = max(1, round(size / thickness))
    step = size / count
    voxels, slices = torch.arange(size), torch.arange(count)[:, None]
    # How much of each voxel, from its lower to its upper face, lies in the slice.
    upper = torch.minimum(voxels + 1.0, (slices + 1) * step)
    shares = (upper - torch.maximum(voxels.float(), slices * step)).clamp(min=0) / step
    return interpolating(((voxels + 0.5) / step - 0.5).clamp(0, count - 1), count) @ shares
