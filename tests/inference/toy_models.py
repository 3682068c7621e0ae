"""Networks whose masks can be told beforehand, plans for them, and scans."""

import nibabel
import numpy as np
import torch
from thresholds import ids
from thresholds import plan as make_plan
from torch import nn

from delineate.inference import Model
from delineate.labels import Class, Labels
from delineate.plan import Network

__all__ = [
    "FLAT",
    "OVERLAPPING",
    "Threshold",
    "ids",
    "levels",
    "make_model",
    "make_plan",
    "save_scan",
]

OVERLAPPING = Labels(classes=(Class(name="a", id=1), Class(name="b", id=2)), overlapping=True)
FLAT = {
    "spacing": (1.0, 1.0),
    "shape": (20, 13),
    "patch": (8, 8),
    "network": Network(features=(4,), strides=((1, 1),), kernels=((3, 3),), convolutions=(2,)),
}
"""What makes the plan one of pictures."""


class Threshold(nn.Module):
    """Draws class 1 where the image is above `at`, class 2 above `at` + 1."""

    def __init__(self, overlapping=False, at=0.5, sharpness=1.0):
        super().__init__()
        self.overlapping = overlapping
        self.register_buffer("at", torch.tensor(at))
        self.sharpness = sharpness

    def forward(self, image):
        x = image[:, :1] - self.at
        if self.overlapping:
            return self.sharpness * torch.cat((x, x - 1), dim=1)
        return self.sharpness * torch.cat((-x, 0.5 * x.sign(), 2 * (x - 1)), dim=1)


def make_model(*networks, plan=None, **changes):
    return Model(networks=networks or (Threshold(),), plan=plan or make_plan(), **changes)


def levels(shape, seed=4):
    return np.random.default_rng(seed).choice([0.0, 1.0, 2.0], size=shape).astype(np.float32)


def save_scan(path, array, affine=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine), path)
    return path
