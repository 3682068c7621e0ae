"""One of several changes of the image, and never two: noise of one kind or of another."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from delineate.augment.artefacts import BiasField, GaussianBlur, LowResolution, PartialVolume
from delineate.augment.intensity import (
    Brightness,
    Contrast,
    Gamma,
    GaussianNoise,
    IntensityShift,
    RicianNoise,
)
from delineate.augment.kspace import Ghosting, Motion
from delineate.augment.limits import check_probability
from delineate.augment.transform import Draw, Frame, Intensity

__all__ = ["OneOf"]

_KINDS: dict[str, Callable[..., Intensity]] = {
    kind.__name__: kind
    for kind in (
        *(BiasField, Brightness, Contrast, Gamma, GaussianBlur, GaussianNoise, Ghosting),
        *(IntensityShift, LowResolution, Motion, PartialVolume, RicianNoise),
    )
}


class OneOf(Intensity):
    """Draws one of its parts, all equally likely, and applies that one.

    Args:
        parts: by name with their arguments beside it, such as {name: GaussianNoise, deviation: [0,
            0.2]}, or transforms. Their own probabilities do not matter: one that is drawn is
            applied.
        channels: how many of the image's first channels are changed; None means all.
        probability: of changing a sample at all.
    """

    def __init__(
        self,
        *,
        parts: Sequence[Mapping[str, Any] | Intensity],
        channels: int | None = None,
        probability: float = 0.2,
    ) -> None:
        check_probability(self, probability)
        if not parts:
            raise ValueError("OneOf: parts is empty. Fix: name some.")
        if channels is not None and channels < 1:
            raise ValueError(f"OneOf: channels is {channels}. Fix: at least 1, or null for all.")
        self.parts = [part if isinstance(part, Intensity) else _made(part) for part in parts]
        self.channels = channels
        self.probability = probability

    def values(self, rng: np.random.Generator, frame: Frame) -> Draw:
        """The number of a part, and what it drew."""
        chosen = int(rng.integers(len(self.parts)))
        if self.channels is not None:
            frame = replace(frame, channels=min(self.channels, frame.channels))
        return {"part": chosen, "draw": self.parts[chosen].values(rng, frame)}

    def change(
        self, image: Float[Tensor, "b c *s"], draws: list[Draw], spacing: tuple[float, ...]
    ) -> None:
        """Each sample by its own part."""
        for slot, draw in enumerate(draws):
            sample = image[slot : slot + 1, : self.channels]
            self.parts[draw["part"]].change(sample, [draw["draw"]], spacing)


def _made(part: Mapping[str, Any]) -> Intensity:
    """The transform that a part names."""
    arguments = dict(part)
    name = arguments.pop("name", None)
    if name not in _KINDS:
        raise ValueError(
            f"OneOf: there is no part '{name}'. Fix: one of {', '.join(sorted(_KINDS))}."
        )
    return _KINDS[name](**{k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()})
