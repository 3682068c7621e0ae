"""The documented noise: one of five kinds, as strong as documented, on one sample.

Each is what a scanner does to grey values, which count from the darkest of their channel, where
there is no signal, because volumes are z-scored; only the power of `NoiseByDecibel` is that of the
values as they are. How we differ from the origin: its partial volume does nothing, ours averages
over thick slices (`augment.PartialVolume`), and every field has its own seed.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from delineate.augment import Draw, Frame, Intensity, OneOf, PartialVolume, RicianNoise
from delineate.augment.resample import centred_grid, sample_linear
from delineate.augment.separable import along_axes, blurring
from delineate.augment.transform import draw_seed

__all__ = ["Bias", "NoiseByDecibel", "RelativeRician", "Shake", "one_noise"]

DECIBEL = (15.0, 30.0)
RICIAN = (0.02, 0.08)
BIAS = 0.3
COARSE = 8
"""The bias varies over this part of the patch's length."""
LEAST_BIAS = 0.05
SHIFT = 0.5
BLEND = (0.7, 0.9)


def one_noise(*, probability: float = 0.6, channels: int | None = None) -> OneOf:
    """Gaussian, Rician, bias field, motion or partial volume, all equally likely.

    Args:
        channels: how many of the image's first channels have it; None means all.
    """
    kinds = (NoiseByDecibel(), RelativeRician(), Bias(), Shake(), PartialVolume())
    return OneOf(parts=kinds, channels=channels, probability=probability)


class NoiseByDecibel(Intensity):
    """Normal noise whose power lies 15 to 30 dB below that of the channel, its mean square."""

    probability = 1.0

    def values(self, rng: np.random.Generator, frame: Frame) -> Draw:
        """A ratio in dB, and the seed of the noise."""
        return {"snr_db": float(rng.uniform(*DECIBEL)), "seed": draw_seed(rng)}

    def change(
        self, image: Float[Tensor, "b c *s"], draws: list[Draw], spacing: tuple[float, ...]
    ) -> None:
        """Add each sample's noise."""
        for sample, draw in zip(image, draws, strict=True):
            noise = torch.empty_like(sample).normal_(generator=_generator(sample, draw))
            power = sample.flatten(1).square().mean(1)
            deviation = (power * 10 ** (-draw["snr_db"] / 10)).sqrt()
            sample.add_(noise.mul_(deviation.view(-1, *(1 for _ in spacing))))


class RelativeRician(Intensity):
    """The noise of magnitude images, its deviation 2 to 8 percent of the brightest signal."""

    probability = 1.0

    def values(self, rng: np.random.Generator, frame: Frame) -> Draw:
        """A share of the range of grey values, and the seed of the noise."""
        return {"share": float(rng.uniform(*RICIAN)), "seed": draw_seed(rng)}

    def change(
        self, image: Float[Tensor, "b c *s"], draws: list[Draw], spacing: tuple[float, ...]
    ) -> None:
        """Each channel's length with its own noise."""
        rician = RicianNoise()
        for sample, draw in zip(image, draws, strict=True):
            for place, channel in enumerate(sample):
                deviation = draw["share"] * float(channel.max() - channel.min())
                own = {"deviation": deviation, "seed": draw["seed"] + place}
                rician.change(channel[None, None], [own], spacing)


class Bias(Intensity):
    """Multiply by a smooth field around 1, whose deviation over the patch is 0.3."""

    probability = 1.0

    def values(self, rng: np.random.Generator, frame: Frame) -> Draw:
        """The seed of the field."""
        return {"seed": draw_seed(rng)}

    def change(
        self, image: Float[Tensor, "b c *s"], draws: list[Draw], spacing: tuple[float, ...]
    ) -> None:
        """Shade each sample; its channels share the field."""
        size = image.shape[2:]
        matrices = [blurring(image.new_tensor([max(1, n // COARSE)]), n)[0] for n in size]
        for sample, draw in zip(image, draws, strict=True):
            noise = torch.empty_like(sample[:1]).normal_(generator=_generator(sample, draw))
            field = along_axes(noise, matrices)
            field.sub_(field.mean()).div_(field.std().clamp(min=1e-6))
            field.mul_(BIAS).add_(1).clamp_(min=LEAST_BIAS)
            low = sample.flatten(1).amin(1).view(-1, *(1 for _ in size))
            sample.sub_(low).mul_(field).add_(low)


class Shake(Intensity):
    """Blend with the image moved by up to half a voxel along each axis: 0.7 to 0.9 stay."""

    probability = 1.0

    def values(self, rng: np.random.Generator, frame: Frame) -> Draw:
        """Voxels along each axis of the plane, and the share that stays."""
        shift = rng.uniform(-SHIFT, SHIFT, len(frame.patch))
        moved = [float(s) if a in frame.plane else 0.0 for a, s in enumerate(shift)]
        return {"shift": moved, "blend": float(rng.uniform(*BLEND))}

    def change(
        self, image: Float[Tensor, "b c *s"], draws: list[Draw], spacing: tuple[float, ...]
    ) -> None:
        """Blend each sample."""
        size = tuple(image.shape[2:])
        still = [
            p + (n - 1) / 2 for p, n in zip(centred_grid(size, image.device), size, strict=True)
        ]
        for sample, draw in zip(image, draws, strict=True):
            where = [p + s for p, s in zip(still, draw["shift"], strict=True)]
            moved = sample_linear(sample, where, zero_outside=False)
            sample.lerp_(moved, 1 - draw["blend"])


def _generator(sample: Tensor, draw: Draw) -> torch.Generator:
    return torch.Generator(sample.device).manual_seed(draw["seed"])
