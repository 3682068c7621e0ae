"""Small brainstems in the documented folder, and settings that train on them in seconds."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from nibabel import nifti1

from delineate.systems.brainstem import TrainingConfig
from delineate.systems.brainstem.schema_file import SHIPPED

SHAPE = (36, 28, 32)
GREY = {0: 20, 9: 100, 99: 120, 4: 60, 85: 150, 29: 180, 333: 100}
AFFINE = np.array([[-0.2, 0, 0, 5], [0, 0.2, 0, -4], [0, 0, 0.2, -4], [0, 0, 0, 1.0]])
"""The first axis of the files runs from right to left."""


def settings(**changes: Any) -> TrainingConfig:
    """Of a network that is tiny, and of six short epochs."""
    small: dict[str, Any] = {
        "patch_size": (16, 16, 16),
        "token_size": 4,
        "embed_dim": 16,
        "num_heads": 2,
        "vit_layers": 1,
        "gnn_layers": 1,
        "mlp_dim": 32,
        "head_width": 8,
        "batch_size": 2,
        "num_epochs": 6,
        "samples_per_volume": 8,
        "val_interval": 2,
        "save_interval": 2,
        "learning_rate": 3e-3,
        "num_workers": 0,
        "device": "cpu",
    }
    return TrainingConfig(**(small | changes))


def draw(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A noisy scan and its ids, in canonical axes."""
    rng = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    y = y + 0.06 * seed
    mask = np.where(x**2 / 0.5 + y**2 / 0.5 + z**2 / 0.9 < 1, 9, 0)
    mask[(mask > 0) & (z < -0.4)] = 99
    for side in (-0.4, 0.4):
        mask[(x - side) ** 2 + (y - 0.1) ** 2 + (z - 0.5) ** 2 < 0.05] = 4
        mask[(x - side) ** 2 + (y + 0.4) ** 2 + (z - 0.4) ** 2 < 0.05] = 85
        mask[(x - side) ** 2 + (y - 0.3) ** 2 + z**2 < 0.06] = 29
    grey = np.vectorize(GREY.get)(mask) + rng.normal(0, 4, SHAPE)
    return grey.astype(np.float32), mask.astype(np.int16)


def write_subject(folder: Path, seed: int = 0) -> None:
    """The pair of files, on axes that are not the canonical ones."""
    folder.mkdir(parents=True)
    grey, mask = draw(seed)
    for name, array in (("T2w", grey), ("manual_segmentation", mask)):
        nifti1.save(nifti1.Nifti1Image(array[::-1], AFFINE), folder / f"{name}.nii.gz")


def write_tree(root: Path, subjects: Sequence[str] = ("nextbrain",)) -> Path:
    """The documented folder."""
    for seed, subject in enumerate(subjects):
        write_subject(root / subject, seed)
    names = "4 Red nucleus\n9 Brain-stem\n29 Pontine nuclei\n85 Inferior colliculus\n99 Medulla\n"
    (root / subjects[0] / "labels.txt").write_text(names)
    (root / "metadata").mkdir()
    shutil.copy(SHIPPED, root / "metadata" / SHIPPED.name)
    return root
