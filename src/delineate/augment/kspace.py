"""Artefacts of acquiring an image line by line in k-space: ghosts, and motion in between.

Lines run along one axis of the patch, the phase encoding, within the plane of a stack of slices.
A weight for each line acts along that axis only, so it is one small matrix and no transform of the
volume. Grey values count from the darkest of their channel, where there is no signal, and the
result is a magnitude, as scanners show it. The patch stands for the scan: ghosts fold at its edge.
"""

import numpy as np
import torch
from jaxtyping import Float, Num
from torch import Tensor

from delineate.augment.geometry import Affine
from delineate.augment.limits import check_number, check_probability, check_range
from delineate.augment.resample import centred_grid, sample_linear
from delineate.augment.separable import along_axes
from delineate.augment.transform import Draw, Frame, Intensity, Range

__all__ = ["Ghosting", "Motion"]


class Ghosting(Intensity):
    """Faint copies along one axis: every n-th line of k-space is weakened, but the central one.

    There are n ghosts, a patch's n-th part from each other, and the image's mean stays.

    Args:
        ghosts: fewest and most.
        strength: how much of a line is lost.
    """

    def __init__(
        self,
        *,
        ghosts: tuple[int, int] = (2, 8),
        strength: Range = (0.1, 0.5),
        probability: float = 0.1,
    ) -> None:
        check_range(self, "ghosts", ghosts, low=2)
        check_range(self, "strength", strength, low=0, high=1)
        check_probability(self, probability)
        self.ghosts = ghosts
        self.strength = strength
        self.probability = probability

    def values(self, rng: np.random.Generator, frame: Frame) -> Draw:
        """An axis, a number of ghosts and a strength."""
        low, high = self.ghosts
        return {
            "axis": int(rng.choice(frame.plane)),
            "ghosts": int(rng.integers(low, high + 1)),
            "strength": float(rng.uniform(*self.strength)),
        }

    def change(
        self, image: Float[Tensor, "b c *s"], draws: list[Draw], spacing: tuple[float, ...]
    ) -> None:
        """Weaken each sample's lines."""
        for sample, draw in zip(image, draws, strict=True):
            lines = _lines(sample.shape[1 + draw["axis"]])
            weakened = (lines % draw["ghosts"] == 0) & (lines != 0)
            kernel = torch.fft.ifft(1 - draw["strength"] * weakened.float()).real
            matrices: list[Tensor | None] = [None] * len(spacing)
            matrices[draw["axis"]] = _circulant(kernel).to(image)
            low = _darkest(sample)
            sample.copy_(along_axes(sample - low, matrices).abs_().add_(low))


class Motion(Intensity):
    """Blur and ripples of a patient who moved: k-space put together from rigidly moved copies.

    Lines are acquired one after another; at some times the patient takes another pose. The pose
    that holds while the central line is acquired is that of the sample, so labels stay on tissue.

    Args:
        moves: fewest and most.
        rotation_degrees: largest angle of a pose about each axis, either way.
        translation: largest shift of a pose along each axis, as a share of the patch.
    """

    def __init__(
        self,
        *,
        moves: tuple[int, int] = (1, 3),
        rotation_degrees: float = 3.0,
        translation: float = 0.03,
        probability: float = 0.1,
    ) -> None:
        check_range(self, "moves", moves, low=1)
        check_number(self, "rotation_degrees", rotation_degrees, low=0, high=180)
        check_number(self, "translation", translation, low=0, high=1)
        check_probability(self, probability)
        self.moves = moves
        self.probability = probability
        self.pose = Affine(
            rotation_degrees=rotation_degrees,
            scale=(1.0, 1.0),
            translation=translation,
            probability=1.0,
        )

    def values(self, rng: np.random.Generator, frame: Frame) -> Draw:
        """An axis, the times of the moves as shares of the lines, and the pose after or before."""
        low, high = self.moves
        moves = int(rng.integers(low, high + 1))
        return {
            "axis": int(rng.choice(frame.plane)),
            "times": sorted(rng.random(moves).tolist()),
            "poses": [self.pose.draw(rng, frame) for _ in range(moves)],
        }

    def change(
        self, image: Float[Tensor, "b c *s"], draws: list[Draw], spacing: tuple[float, ...]
    ) -> None:
        """Put each sample together from its poses."""
        size = tuple(image.shape[2:])
        frame = Frame(channels=image.shape[1], patch=size, spacing=spacing)
        still = centred_grid(size, image.device)
        for sample, draw in zip(image, draws, strict=True):
            low = _darkest(sample)
            signal = sample - low
            parts = signal[:, None] * signal.new_tensor([1.0, 0.0]).view(2, *(1 for _ in size))
            parts = parts.flatten(0, 1)
            for lines, pose in _segments(draw, size[draw["axis"]]):
                places = self.pose.pull(still, pose, frame)
                where = [p + (n - 1) / 2 for p, n in zip(places, size, strict=True)]
                moved = sample_linear(signal, where, zero_outside=False).sub_(signal)
                parts += _of_lines(moved, lines, draw["axis"])
            pairs = parts.view(len(sample), 2, *size)
            sample.copy_(torch.hypot(pairs[:, 0], pairs[:, 1]).add_(low))


def _segments(draw: Draw, size: int) -> list[tuple[Tensor, Draw]]:
    """The lines of each moved pose, 0 or 1 a line; those around the central line have none."""
    lines = _lines(size)
    time = (lines + size // 2 + 0.5) / size
    number = (time[:, None] > torch.tensor(draw["times"])).sum(1)
    central = int(number[0])
    moved = [n for n in range(len(draw["times"]) + 1) if n != central]
    return [((number == n).float(), pose) for n, pose in zip(moved, draw["poses"], strict=True)]


def _of_lines(values: Tensor, lines: Tensor, axis: int) -> Tensor:
    """What these lines make of the values: real and imaginary part of each channel in turn."""
    kernel = torch.fft.ifft(lines)
    matrices: list[Tensor | None] = [None] * (values.dim() - 1)
    parts = []
    for part in (kernel.real, kernel.imag):
        matrices[axis] = _circulant(part).to(values)
        parts.append(along_axes(values, matrices))
    return torch.stack(parts, dim=1).flatten(0, 1)


def _lines(size: int) -> Num[Tensor, "{size}"]:
    """Each line's distance from the central one, in the order of the discrete Fourier transform."""
    return torch.fft.fftfreq(size, 1 / size).round().long()


def _circulant(kernel: Float[Tensor, " n"]) -> Float[Tensor, "n n"]:
    """The matrix of a cyclic convolution."""
    steps = torch.arange(len(kernel))
    return kernel[(steps[:, None] - steps) % len(kernel)]


def _darkest(sample: Float[Tensor, "c *s"]) -> Float[Tensor, "c *o"]:
    """Of each channel, broadcastable."""
    return sample.flatten(1).amin(1).view(-1, *(1 for _ in sample.shape[1:]))
