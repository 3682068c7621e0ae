"""A step of one's own: `- name: MyCustomAugmentation`, with `target` and `phase` as any other."""

import numpy as np

from ml_framework.base.preprocess import BasePreprocess


class MyCustomAugmentation(BasePreprocess):
    """Grey values to a power: the same every time, since nothing here is random."""

    def __init__(self, power: float = 0.8) -> None:
        super().__init__()
        self.power = power

    def __call__(self, data: np.ndarray) -> np.ndarray:
        """What becomes of an image (h, w, c) of 0 to 255."""
        return (255 * (data / 255.0) ** self.power).astype(data.dtype)
