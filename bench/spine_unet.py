"""A whole training of the documented UNET on membranes: `ml_framework train` against a plain loop.

    python bench/spine_unet.py [--data FOLDER] [--epochs N] [--size PIXELS] [--rounds N]

FOLDER has images/ and masks/ with files of the same names; without one, cells with membranes are
drawn. Both sides begin with the same weights, see the same slices for as many steps, in batches of
two, with Adam, the document's Dice loss and flips, and measure all slices that are held out after
each epoch. The plain loop decodes and resizes a slice each time it is asked for, as a Dataset does
that somebody writes in an afternoon. Each side runs in a process of its own, in turns; processor
time is taken, which other programs disturb little, without the imports.
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from figure import Figure, say
from PIL import Image
from sides import THREADS, run_side
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

SIDES = ("ours", "plain")
HELD_OUT = 4
"""One slice in so many."""
BATCH = 2
RATE = 1e-3
SEED = 420
FEATURES, DEPTH = 16, 4


def draw_cells(folder: Path, *, count: int = 16, size: int = 256) -> None:
    """Cells side by side: dark membranes between bright plasm, as an electron microscope shows."""
    from scipy.ndimage import gaussian_filter
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(SEED)
    pixels = np.stack(np.mgrid[:size, :size], -1).reshape(-1, 2)
    for number in range(count):
        near, _ = cKDTree(rng.uniform(0, size, (40, 2))).query(pixels, k=2)
        cell = (near[:, 1] - near[:, 0] > 4).reshape(size, size)
        plasm = gaussian_filter(rng.normal(0, 60, cell.shape), 3)
        grey = (
            60
            + 110 * gaussian_filter(cell.astype(float), 1)
            + plasm
            + rng.normal(0, 15, cell.shape)
        )
        for kind, values in (("images", grey.clip(0, 255)), ("masks", 255 * cell)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values.astype(np.uint8)).save(folder / kind / f"{number}.png")


def deal(source: Path, folder: Path) -> None:
    """The same slices for both sides, by phase: folder/slices/<phase>/{images,masks}."""
    files = sorted((source / "images").iterdir())
    for number, file in enumerate(files):
        phase = "val" if number % HELD_OUT == HELD_OUT - 1 else "train"
        for kind in ("images", "masks"):
            place = folder / "slices" / phase / kind
            place.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / kind / file.name, place / file.name)


def train_ours(folder: Path, epochs: int, size: int) -> dict[str, Any]:
    """By the experiment that a user would write."""
    import albumentations  # noqa: F401 # not counted

    from delineate.systems.spine.learning.trainer import train
    from delineate.systems.spine.schema.settings import Experiment

    every = {"phase": ["train", "val", "test"]}
    steps = [
        {"name": "load_segmentation_label", "target": ["label"], **every},
        {"name": "alb.Resize", "params": {"height": size, "width": size},
         "target": ["data", "label"], **every},
        {"name": "to_gray", "target": ["data"], **every},
        {"name": "alb.HorizontalFlip", "params": {"p": 0.5}, "target": ["data", "label"],
         "phase": ["train"]},
        {"name": "alb.ToFloat", "params": {"max_value": 255}, "target": ["data"], **every},
        {"name": "alb.ToTensorV2", "target": ["data", "label"], **every},
    ]  # fmt: skip
    said = {
        "project_name": "bench", "experiment_name": "membrane", "path": folder / "x.yaml",
        "seed": SEED, "directory": {"log": folder / "logs", "data": folder},
        "model": {"name": "UNET", "in_channels": 1, "out_channels": 1, "depth": DEPTH,
                  "features": FEATURES, "use_batch_norm": True, "last_activation": "sigmoid",
                  "loss": {"name": "DiceLoss"}},
        "data": {"dataset": {"cells": {"path": "slices", "crawler": "segmentation_file"}},
                 "preprocess": steps},
        "trainer": {"epochs": epochs, "lr": {"init_value": RATE}, "optimizer": {"name": "Adam"},
                    "loader": {"batch_size": BATCH, "num_workers": 0}},
    }  # fmt: skip
    begun = time.process_time()
    best = train(Experiment.model_validate(said))
    seconds = time.process_time() - begun
    last = (best.parent.parent / "metrics.csv").read_text().splitlines()
    row = dict(zip(last[0].split(","), last[-1].split(","), strict=True))
    return {"seconds": seconds, "dice": float(row["val_Dice"]), "iou": float(row["val_iou"])}


class Slices(Dataset[tuple[Tensor, Tensor]]):
    """Decoded anew each time."""

    def __init__(self, folder: Path, size: int, *, flips: bool) -> None:
        self.files = sorted((folder / "images").iterdir())
        self.size, self.flips = size, flips

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        import cv2

        file = self.files[index]
        both = (file, file.parents[1] / "masks" / file.name)
        image, mask = (np.asarray(Image.open(path).convert("L")) for path in both)
        image = cv2.resize(image, (self.size, self.size), interpolation=cv2.INTER_LINEAR)
        mask = cv2.resize(mask, (self.size, self.size), interpolation=cv2.INTER_NEAREST)
        if self.flips and torch.rand(()) < 0.5:
            image, mask = image[:, ::-1], mask[:, ::-1]
        x = torch.from_numpy(np.ascontiguousarray(image)).float()[None] / 255
        return x, torch.from_numpy(np.ascontiguousarray(mask > 0)).float()[None]


def train_plainly(folder: Path, epochs: int, size: int) -> dict[str, Any]:
    """The loop of any tutorial."""
    import cv2  # noqa: F401 # not counted

    from delineate.models import PlainUNet

    begun = time.process_time()
    torch.manual_seed(SEED)
    network = PlainUNet(1, 1, init_features=FEATURES, depth=DEPTH, batch_norm=True)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    learnt = Slices(folder / "slices" / "train", size, flips=True)
    held = Slices(folder / "slices" / "val", size, flips=False)
    train, val = DataLoader(learnt, BATCH, shuffle=True), DataLoader(held, BATCH)
    dice = iou = 0.0
    for _ in range(epochs):
        network.train()
        for image, mask in train:
            optimizer.zero_grad()
            p = network(image).logits.sigmoid()
            both = 2 * (p * mask).sum((2, 3)) + 1
            loss = (1 - both / (p.sum((2, 3)) + mask.sum((2, 3)) + 1)).mean()
            loss.backward()
            optimizer.step()
        network.eval()
        hit = found = true = 0.0
        with torch.no_grad():
            for image, mask in val:
                drawn = network(image).logits > 0
                hit += float((drawn & (mask > 0)).sum())
                found, true = found + float(drawn.sum()), true + float(mask.sum())
        dice, iou = 2 * hit / (found + true), hit / (found + true - hit)
    return {"seconds": time.process_time() - begun, "dice": dice, "iou": iou}


def compare(source: Path | None, *, epochs: int, size: int, rounds: int) -> None:
    """Both sides in turns; a line of the results."""
    results: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if source is None:
            draw_cells(folder / "drawn")
        deal(source or folder / "drawn", folder)
        for turn in range(rounds):
            for side in SIDES:
                shutil.rmtree(folder / "logs", ignore_errors=True)
                words = ["--side", side, "--folder", folder, "--epochs", epochs, "--size", size]
                results[side] += run_side(__file__, words, threads=THREADS)
                r = results[side][-1]
                print(
                    f"round {turn}, {side}: {r['seconds']:.1f} s, Dice {r['dice']:.4f}, "
                    f"IoU {r['iou']:.4f}",
                    flush=True,
                )
    ours, theirs = (statistics.median(r["seconds"] for r in results[s]) for s in SIDES)
    kind = "drawn membranes" if source is None else source.name
    work = (
        f"training the documented UNET, {epochs} epochs of {kind} at {size}x{size}, processor time"
    )
    say(Figure(work=work, peer="plain PyTorch loop", ours=ours, theirs=theirs, unit="s"))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="a folder with images/ and masks/")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side is None:
        compare(asked.data, epochs=asked.epochs, size=asked.size, rounds=asked.rounds)
        return
    measure = {"ours": train_ours, "plain": train_plainly}[asked.side]
    print(json.dumps(measure(asked.folder, asked.epochs, asked.size)))


if __name__ == "__main__":
    main()
