"""A model that can be checked by eye: class a above 0.5, class b above 1.5, voxel by voxel."""

import nibabel
import numpy as np
import torch
from torch import nn

from delineate.inference.model import Model
from delineate.labels import Class, Labels
from delineate.plan import Network, Normalisation, Plan

A, B = 3, 9
"""The ids of the two classes."""


class Threshold(nn.Module):
    """Draws class 1 where the first channel is above `low`, class 2 above `high`."""

    def __init__(self, low=0.5, high=1.5, classes=2):
        super().__init__()
        self.low, self.high, self.classes = low, high, classes
        self.seen = []
        """The shape and the sum of everything that it was asked."""

    def forward(self, image):
        self.seen.append((tuple(image.shape), float(image.sum())))
        x = image[:, :1]
        scores = (0 * x, (x - self.low).sign(), 2 * (x - self.high).sign())
        return torch.cat(scores[: 1 + self.classes], dim=1)


def plan(**changes):
    figures = {
        "channels": ("MR",),
        "labels": Labels(classes=(Class(name="a", id=A), Class(name="b", id=B))),
        "spacing": (1.0, 1.0, 1.0),
        "shape": (12, 12, 12),
        "crop_nonzero": False,
        "normalisation": (Normalisation(kind="none"),),
        "separate_axis": None,
        "patch": (8, 8, 8),
        "batch_size": 2,
        "network": Network(
            features=(4,), strides=((1, 1, 1),), kernels=((3, 3, 3),), convolutions=(2,)
        ),
        "memory_gb": 1.0,
    } | changes
    figures["normalisation"] = changes.get(
        "normalisation", (Normalisation(kind="none"),) * len(figures["channels"])
    )
    return Plan(**figures)


def flat_plan(**changes):
    """The same for pictures."""
    network = Network(features=(4,), strides=((1, 1),), kernels=((3, 3),), convolutions=(2,))
    figures = {"spacing": (1.0, 1.0), "shape": (20, 13), "patch": (8, 8), "network": network}
    return plan(**(figures | changes))


def model(network=None, **changes):
    return Model(networks=(network or Threshold(),), plan=plan(**changes)).to("cpu")


def levels(shape, seed=0):
    """An image of zeros, ones and twos."""
    return np.random.default_rng(seed).choice([0.0, 1.0, 2.0], size=shape).astype(np.float32)


def ids(image):
    """What the model draws on such an image."""
    return np.select([image > 1.5, image > 0.5], [B, A])


def save(path, array, affine=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine), path)
    return path
