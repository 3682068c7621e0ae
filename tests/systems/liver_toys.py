"""A network of a few weights, and batches as the liver loader gives them, for tests of training."""

import numpy as np
import torch
from scipy.ndimage import binary_erosion, distance_transform_edt
from torch import nn
from torch.utils.data import DataLoader, Dataset

from delineate.systems.liver.settings import ModelTrainingConfig


class Tiny(nn.Module):
    """One convolution, in 2 or 3 dimensions."""

    def __init__(self, classes: int = 3, dims: int = 3) -> None:
        super().__init__()
        kind = {2: nn.Conv2d, 3: nn.Conv3d}[dims]
        self.convolution = kind(1, classes, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.convolution(image)


class Given(nn.Module):
    """Puts out the ids that the image is made of."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.classes = classes
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        ids = torch.arange(self.classes, device=image.device)
        ids = ids.view(1, -1, *(1 for _ in image.shape[2:]))
        return self.scale * (image.round().long() == ids) * 9.0


class Cases(Dataset):
    """Blocks of liver with a tumour: bright where there is a structure."""

    def __init__(self, number: int, size=(6, 7, 5), *, seed: int = 0, spacing=(1.0, 1.0, 1.0)):
        rng = np.random.default_rng(seed)
        self.labels = np.zeros((number, *size), np.int64)
        for label in self.labels:
            corner = [int(rng.integers(0, n // 2)) for n in size]
            label[tuple(slice(c, c + n // 2) for c, n in zip(corner, size, strict=True))] = 1
            label[tuple(slice(c, c + 2) for c in corner)] = 2
        noise = rng.normal(0, 0.3, self.labels.shape)
        self.images = (self.labels + noise).astype(np.float32)
        self.affine = np.diag([*spacing, 1.0])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> dict:
        i %= len(self)  # `Order` counts on from epoch to epoch
        affine = torch.from_numpy(self.affine)
        return {
            "image": {"data": torch.from_numpy(self.images[i])[None], "affine": affine},
            "label": {"data": torch.from_numpy(self.labels[i])[None], "affine": affine},
            "id": f"case_{i:02d}",
        }


def loader(cases: Dataset, batch: int = 1) -> DataLoader:
    return DataLoader(cases, batch_size=batch)


def settings(folder, **keys) -> ModelTrainingConfig:
    """Short, quiet, in a folder of its own, on the processor."""
    short = {
        "num_classes": 3,
        "max_epochs": 2,
        "gpus": 0,
        "num_workers": 0,
        "precision": "32-true",
        "learning_rate": 0.05,
        "data_dir": str(folder / "data"),
        "checkpoint_dir": str(folder / "checkpoints"),
        "log_dir": str(folder / "logs"),
    }
    return ModelTrainingConfig(**short | keys)


def brute_dice(one: np.ndarray, other: np.ndarray) -> float:
    whole = one.sum() + other.sum()
    return 2 * (one & other).sum() / whole if whole else float("nan")


def brute_iou(one: np.ndarray, other: np.ndarray) -> float:
    whole = (one | other).sum()
    return (one & other).sum() / whole if whole else float("nan")


def brute_bf1(one: np.ndarray, other: np.ndarray, spacing, tolerance: float) -> float:
    """By distance transforms of whole images."""
    if not one.any() and not other.any():
        return float("nan")
    if not one.any() or not other.any():
        return 0.0
    edges = [mask & ~binary_erosion(mask) for mask in (one, other)]
    far = [distance_transform_edt(~edge, sampling=spacing) for edge in edges]
    precision = (far[1][edges[0]] <= tolerance).mean()
    recall = (far[0][edges[1]] <= tolerance).mean()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
