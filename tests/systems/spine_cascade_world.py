"""Phantoms of the neck and the head as training data of six networks, and series to judge."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from delineate.datasets.canvas import Drawing
from delineate.datasets.phantom_lesions import draw_lesions
from delineate.datasets.phantom_spine import draw_spine
from delineate.io import Volume
from delineate.io.volume import Grid
from delineate.systems.spine.slices.volume_pictures import choose_plane, pictures_of

SHAPE, SIZE = (8, 64, 80), 64
TRAINED = range(96, 104)
"""Seeds of the phantoms that networks are trained on; those to be judged have others."""
LITTLE = 40
"""Pixels of cord that leave a slice out: it neither shows the cord nor is without."""
DRAWN = range(96, 120)
"""Of those with masks."""
KINDS = ("sagittal_t2", "sagittal_t1", "axial_t2", "aside", "brain")
CLASSES = {
    "anatomy": {"brain": ("brain",), "spine": ("sagittal_t2", "sagittal_t1", "axial_t2", "aside")},
    "spine_location_view": {"axial": ("axial_t2",), "sagittal": ("sagittal_t2", "sagittal_t1")},
    "spine_sequence": {"T1w": ("sagittal_t1",), "T2w": ("sagittal_t2", "aside")},
}
"""By network, which phantoms are of which class."""
CASCADE = """\
weights: weights
gates:
  - {name: anatomy, checkpoint: anatomy, keep: [spine]}
  - {name: location_view, checkpoint: spine_location_view, keep: [sagittal]}
  - {name: sequence, checkpoint: spine_sequence, keep: [T2w]}
  - {name: spinal_cord, checkpoint: spinal_cord, keep: [cord], by: slice}
"""

SMALL = """\
import torch
from ml_framework.base.model import BaseModel


class Small(BaseModel):
    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.first = torch.nn.Conv2d(in_channels, 12, 5, stride=2, padding=2)
        self.second = torch.nn.Conv2d(12, 24, 3, stride=2, padding=1)
        self.third = torch.nn.Conv2d(24, 24, 3, stride=2, padding=1)
        self.last = torch.nn.Linear(48, num_classes)

    def forward(self, x):
        for layer in (self.first, self.second, self.third):
            x = torch.relu(layer(x))
        return self.last(torch.cat((x.mean((2, 3)), x.amax((2, 3))), 1))
"""
"""A network of one's own, as the document has them: classes of images in a few thousand weights."""


def draw(kind: str, seed: int) -> Drawing:
    """One patient; 8 slices of 3 mm, sagittal but for the axial kind."""
    rng = np.random.default_rng((KINDS.index(kind), seed))
    if kind == "brain":
        drawing = draw_lesions(rng, SHAPE)
        return Drawing(image=drawing.image[:1], mask=drawing.mask * 0, spacing=drawing.spacing)
    if kind == "axial_t2":
        return draw_spine(rng, (SIZE, SIZE, 8), view_mm=(130, 130, 40))
    if kind == "aside":
        return draw_spine(rng, SHAPE, view_mm=(24, 100, 120), aside_mm=42)
    return draw_spine(
        rng, SHAPE, contrast="T1" if kind == "sagittal_t1" else "T2", view_mm=(26, 90, 110)
    )


def slices_of(drawing: Drawing) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and masks (n, rows, columns), as they were acquired."""
    affine = np.diag([*drawing.spacing, 1.0])
    grid = Grid(shape=drawing.mask.shape, affine=affine)
    scan = Volume(array=drawing.image, affine=affine, source=grid)
    plane = choose_plane(scan)
    masks = Volume(array=drawing.mask[None], affine=affine, source=grid)
    return pictures_of(scan, plane), pictures_of(masks, plane)


def write_data(root: Path) -> None:
    """The sources of all six networks; every sixth patient is for validation."""
    (root.parent / "models").mkdir()
    (root.parent / "models" / "small.py").write_text(SMALL)
    for seed in TRAINED:
        for kind in KINDS:
            _write_classes(root, kind, seed, *slices_of(draw(kind, seed)))
    for seed in DRAWN:
        pictures, masks = slices_of(draw("sagittal_t2", seed))
        for network, least in (("spinal_cord_segmentation", 1), ("lesion_segmentation", 2)):
            where = root / network / _phase(seed)
            shown = [number for number, mask in enumerate(masks) if (mask >= least).any()]
            _write(where / "images", f"p{seed}", [pictures[i] for i in shown])
            drawn = [(masks[i] >= least) * np.uint8(255) for i in shown]
            _write(where / "masks", f"p{seed}", drawn)


def _phase(seed: int) -> str:
    return "val" if seed % 6 == 0 else "train"


def _write_classes(
    root: Path, kind: str, seed: int, pictures: np.ndarray, masks: np.ndarray
) -> None:
    """The slices of one patient for each network that tells classes."""
    for network, classes in CLASSES.items():
        for name, kinds in classes.items():
            if kind in kinds:
                _write(root / network / _phase(seed) / name, f"{kind}_{seed}", pictures)
    if kind not in ("sagittal_t2", "aside"):
        return
    for number, (picture, mask) in enumerate(zip(pictures, masks, strict=True)):
        pixels = int((mask > 0).sum())
        if pixels == 0 or pixels > LITTLE:
            where = root / "spinal_cord" / _phase(seed) / ("cord" if pixels else "none")
            _write(where, f"{kind}_{seed}_{number}", [picture])


def _write(folder: Path, name: str, pictures: Sequence[np.ndarray]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{name}_s{number}.png")


def write_experiment(folder: Path, network: str, *, epochs: int) -> Path:
    """The YAML file of one of the networks, after the documented form."""
    drawing = network.endswith("segmentation")
    both = {"phase": ["train", "val", "test"]}
    resize = {"name": "alb.Resize", "params": {"height": SIZE, "width": SIZE}, **both}
    labels: list[dict[str, Any]] = [
        {"name": "label_encoding", "params": {"ordered": True}, "target": ["label"], **both},
        {"name": "one_hot_encoding", "target": ["label"], **both},
    ]
    masks = [{"name": "load_segmentation_label", "target": ["label"], **both}]
    values = [
        {"name": "to_gray", "target": ["data"], **both},
        {"name": "tv.ToImage", "target": ["data"], **both},
        {"name": "tv.ToDtype", "params": {"dtype": "float32", "scale": True}, "target": ["data"],
         **both},
    ]  # fmt: skip
    unet = {
        "name": "UNET", "in_channels": 1, "out_channels": 1, "depth": 3, "features": 8,
        "use_batch_norm": True, "out_activation": None, "last_activation": "sigmoid",
        "loss": {"name": "DuckNetDiceLoss", "params": {}},
    }  # fmt: skip
    small = {
        "name": "Small", "in_channels": 1, "num_classes": 2,
        "loss": {"name": "CrossEntropyLoss", "params": {}},
    }  # fmt: skip
    best = "val_Dice" if drawing else "val_f1_macro"
    crawler = "segmentation_file" if drawing else "file"
    said = {
        "project_name": "cascade",
        "directory": {"log": "logs", "data": "data", "model": "models"},
        "model": unet if drawing else small,
        "data": {
            "dataset": {
                network: {
                    "path": network, "driver": "pillow", "crawler": {"name": crawler, "params": {}},
                    "pipeline": [],
                }
            },
            "preprocess": [
                *(masks if drawing else labels),
                {**resize, "target": ["data", "label"] if drawing else ["data"]},
                *values,
            ],
        },
        "trainer": {
            "name": "pytorch_lightning", "epochs": epochs, "gpus": 0, "precision": 32,
            "lr": {"init_value": "3e-3"}, "optimizer": {"name": "Adam"},
            "loader": {"batch_size": 8, "num_workers": 0},
            "callbacks": [
                {
                    "name": "ModelCheckpoint",
                    "params": {"monitor": best, "mode": "max", "save_top_k": 1},
                }
            ],
        },
    }  # fmt: skip
    path = folder / f"{network}.yaml"
    path.write_text(yaml.safe_dump(said, sort_keys=False))
    return path
