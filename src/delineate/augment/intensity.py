"""Changes of grey values, voxel by voxel; defaults are nnU-Net's."""

from math import inf

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from delineate.augment.limits import check_probability, check_range
from delineate.augment.transform import Draw, Frame, Intensity, Range, around_one, draw_seed

__all__ = [
    "Brightness",
    "Contrast",
    "Gamma",
    "GaussianNoise",
    "IntensityShift",
    "RicianNoise",
]


class _Noise(Intensity):
    """What kinds of noise draw: how strong it is, and the seed of its field."""

    def __init__(self, *, deviation: Range = (0.0, 0.1), probability: float = 0.1) -> None:
        check_range(self, "deviation", deviation, low=0)
        check_probability(self, probability)
        self.deviation = deviation
        self.probability = probability

    def values(self, rng: np.random.Generator, frame: Frame) -> Draw:
        """A deviation and a seed."""
        return {"deviation": float(rng.uniform(*self.deviation)), "seed": draw_seed(rng)}


class GaussianNoise(_Noise):
    """Independent normal noise on every voxel.

    Args:
        deviation: its standard deviation; images are normalised to a deviation near 1.
    """

    def change(
        self, image: Float[Tensor, "b c *s"], draws: list[Draw], spacing: tuple[float, ...]
    ) -> None:
        """Add each sample's own noise."""
        generator = torch.Generator(image.device)
        for sample, draw in zip(image, draws, strict=True):
            generator.manual_seed(draw["seed"])
            noise = torch.empty_like(sample).normal_(generator=generator)
            sample.add_(noise, alpha=draw["deviation"])


class RicianNoise(_Noise):
    """The noise of magnitude images: the length of a signal with normal noise on both its parts.

    Grey values count from the darkest of their channel, where there is no signal: there noise only
    brightens, and far above it is normal.

    Args:
        deviation: of the noise on either part; images are normalised to a deviation near 1.
    """

    def change(
        self, image: Float[Tensor, "b c *s"], draws: list[Draw], spacing: tuple[float, ...]
    ) -> None:
        """Each sample's length with its own noise."""
        generator = torch.Generator(image.device)
        low = image.amin(_space(image), keepdim=True)
        image.sub_(low)
        for sample, draw in zip(image, draws, strict=True):
            generator.manual_seed(draw["seed"])
            real, imaginary = (
                torch.empty_like(sample).normal_(generator=generator) for _ in range(2)
            )
            sample.add_(real, alpha=draw["deviation"])
            torch.hypot(sample, imaginary.mul_(draw["deviation"]), out=sample)
        image.add_(low)


class IntensityShift(Intensity):
    """Add an offset to each channel; its counterpart, a factor, is `Brightness`.

    Args:
        offset: lowest and highest; images are normalised to a deviation near 1.
    """

    def __init__(self, *, offset: Range = (-0.1, 0.1), probability: float = 0.15) -> None:
        check_range(self, "offset", offset, low=-inf)
        check_probability(self, probability)
        self.offset = offset
        self.probability = probability

    def values(self, rng: np.random.Generator, frame: Frame) -> Draw:
        """One offset a channel."""
        return {"offset": rng.uniform(*self.offset, frame.channels).tolist()}

    def change(
        self, image: Float[Tensor, "b c *s"], draws: list[Draw], spacing: tuple[float, ...]
    ) -> None:
        """Shift each channel."""
        image.add_(_per_channel(image, draws, "offset"))


class Brightness(Intensity):
    """Multiply the image, each channel by its own factor.

    Args:
        factor: half of the draws darken, half brighten.
    """

    def __init__(self, *, factor: Range = (0.75, 1.25), probability: float = 0.15) -> None:
        check_range(self, "factor", factor, low=0)
        check_probability(self, probability)
        self.factor = factor
        self.probability = probability

    def values(self, rng: np.random.Generator, frame: Frame) -> Draw:
        """One factor a channel."""
        return {"factor": [around_one(rng, self.factor) for _ in range(frame.channels)]}

    def change(
        self, image: Float[Tensor, "b c *s"], draws: list[Draw], spacing: tuple[float, ...]
    ) -> None:
        """Scale each channel."""
        image.mul_(_per_channel(image, draws, "factor"))


class Contrast(Intensity):
    """Stretch each channel about its mean, within the range that it had.

    Args:
        factor: half of the draws flatten, half stretch.
    """

    def __init__(self, *, factor: Range = (0.75, 1.25), probability: float = 0.15) -> None:
        check_range(self, "factor", factor, low=0)
        check_probability(self, probability)
        self.factor = factor
        self.probability = probability

    def values(self, rng: np.random.Generator, frame: Frame) -> Draw:
        """One factor a channel."""
        return {"factor": [around_one(rng, self.factor) for _ in range(frame.channels)]}

    def change(
        self, image: Float[Tensor, "b c *s"], draws: list[Draw], spacing: tuple[float, ...]
    ) -> None:
        """Stretch each channel."""
        low, high = _range(image)
        mean = _mean(image)
        factor = _per_channel(image, draws, "factor")
        image.mul_(factor).add_(mean * (1 - factor)).clamp_(low, high)


class Gamma(Intensity):
    """Raise each channel, scaled to 0..1, to a power; its mean and deviation stay as they were.

    Args:
        power: half of the draws brighten the middle greys, half darken them.
        inverted: on the negative image, which bends the bright end instead of the dark one.
    """

    def __init__(
        self, *, power: Range = (0.7, 1.5), inverted: bool = False, probability: float = 0.3
    ) -> None:
        check_range(self, "power", power, low=0.01)
        check_probability(self, probability)
        self.power = power
        self.inverted = inverted
        self.probability = probability

    def values(self, rng: np.random.Generator, frame: Frame) -> Draw:
        """One power a channel."""
        return {"power": [around_one(rng, self.power) for _ in range(frame.channels)]}

    def change(
        self, image: Float[Tensor, "b c *s"], draws: list[Draw], spacing: tuple[float, ...]
    ) -> None:
        """Bend each channel's grey scale."""
        mean, length = _mean(image), _length(image)
        low, high = _range(image)
        span = (high - low).clamp(min=1e-7)
        unit = (high - image).div_(span) if self.inverted else (image - low).div_(span)
        # The logarithm of 0 is -inf, whose exponential is 0 again; pow takes twice the time.
        unit.clamp_(0, 1).log_().mul_(_per_channel(image, draws, "power")).exp_()
        if self.inverted:
            unit.neg_()
        new_mean, new_length = _mean(unit), _length(unit)
        image.copy_(unit.sub_(new_mean).mul_(length / new_length.clamp(min=1e-7)).add_(mean))


def _per_channel(image: Tensor, draws: list[Draw], key: str) -> Tensor:
    """The drawn values as (b, c, 1, ...)."""
    values = torch.tensor([d[key] for d in draws], device=image.device, dtype=image.dtype)
    return values.view(*image.shape[:2], *(1 for _ in image.shape[2:]))


def _mean(image: Tensor) -> Tensor:
    """Of each channel, as (b, c, 1, ...)."""
    return image.mean(_space(image), keepdim=True)


def _length(image: Tensor) -> Tensor:
    """Of each channel's deviation from its mean, a vector: its ratios are those of deviations."""
    return torch.linalg.vector_norm(image - _mean(image), dim=_space(image), keepdim=True)


def _range(image: Tensor) -> tuple[Tensor, Tensor]:
    space = _space(image)
    return image.amin(space, keepdim=True), image.amax(space, keepdim=True)


def _space(image: Tensor) -> tuple[int, ...]:
    return tuple(range(2, image.dim()))
