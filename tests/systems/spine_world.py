"""A copy of examples/spine/training to run in, with small pictures of every kind it reads."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

TRAINING = Path(__file__).parents[2] / "examples" / "spine" / "training"
PHASES = ("train", "val", "test")
SIDE = 40


def copy_world(here: Path) -> Path:
    """The folder to be in, its experiments as short as they can be."""
    kept = shutil.ignore_patterns("__pycache__")
    world = Path(shutil.copytree(TRAINING, here / "training", ignore=kept))
    for path in world.rglob("*.yaml"):
        path.write_text(shortened(path.read_text()))
    return world


def shortened(text: str) -> str:
    """Small pictures, small batches, one epoch, no processes."""
    for old, new in (
        (r"(width|height): (320|224)", r"\1: 64"),
        (r"(width|height): 300", r"\1: 60"),
        (r"epochs: (200|100|50)\b", "epochs: 1"),
        (r"batch_size: (64|32|16)", "batch_size: 4"),
        (r"num_workers: 4", "num_workers: 0"),
        (r"(num_classes): (165|10|4|3)\b", r"\1: 3"),
    ):
        text = re.sub(old, new, text)
    return text


def write_masks(folder: Path, *, cases: int = 4) -> None:
    """folder/<phase>/{images,masks}: a bright cord with a brighter lesion, which is the mask."""
    for phase in PHASES:
        for case in range(cases):
            image, lesion = lesion_slice(seed=100 * PHASES.index(phase) + case)
            for kind, pixels in (("images", image), ("masks", 255 * lesion)):
                place = folder / phase / kind / f"sub-{phase}{case}.png"
                place.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.astype(np.uint8)).save(place)


def lesion_slice(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Grey values, and 0/1."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    cord = abs(columns - SIDE / 2) < 8
    centre = rng.uniform(10, SIDE - 10), rng.uniform(16, SIDE - 16)
    lesion = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < rng.uniform(4, 6) ** 2
    image = 30 + 70 * cord + 90 * lesion + rng.normal(0, 5, cord.shape)
    return image.clip(0, 255), lesion


def write_classes(folder: Path, *, classes: int = 3, cases: int = 3) -> None:
    """folder/<phase>/<class>: stripes, the wider the higher the class."""
    rng = np.random.default_rng(0)
    rows = np.mgrid[:SIDE, :SIDE][0]
    for phase in PHASES:
        for label in range(classes):
            for case in range(cases):
                stripes = 128 + 60 * np.sin(rows / (1 + 2 * label) + case)
                image = (stripes + rng.normal(0, 8, stripes.shape)).clip(0, 255)
                place = folder / phase / f"class{label}" / f"sub-{phase}{label}{case}.png"
                place.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image.astype(np.uint8)).save(place)


def run(folder: Path, *words: str, code: int = 0) -> str:
    """What `ml_framework` with these words says, on both outputs."""
    done = subprocess.run(
        [sys.executable, "-m", "ml_framework", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=900,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr
