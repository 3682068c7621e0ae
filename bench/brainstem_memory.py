"""ViT-GNN with 333 classes: the mask of a 400^3 volume, and a training step of 64^3 patches.

    python bench/brainstem_memory.py [--size 400] [--overlap 0.5] [--slabs N]
    python bench/brainstem_memory.py --training

The bar is 8 GB. Prediction is measured: the most that the process has held, from its start to the
finished mask. The network has random weights and a narrow transformer; its head, which decides
over the memory, is the usual one. Hours with overlap on a CPU: `--slabs N` stops behind N finished
slabs, and what the whole would hold is foretold in any case. Training is counted on shapes as a
card would hold it: weights, gradients, both moments of AdamW, activations, in fp32.
"""

import argparse
import time
from typing import Any

import torch
from figure import say
from sides import THREADS
from sliding import memory, scan

from delineate.labels import Class, Labels
from delineate.models import ViTGNN

PARTS, NUCLEI = ("midbrain", "pons", "medulla"), 111
"""Subdivisions, and how many structures each has: 333 with a channel each."""
PATCH, GB = 64, 8.0
NARROW: dict[str, Any] = {
    "embed_dim": 128,
    "vit_layers": 2,
    "num_heads": 4,
    "mlp_dim": 256,
    "gnn_layers": 2,
}


class Enough(Exception):
    """As many slabs are finished as were asked for."""


def atlas() -> Labels:
    """A hierarchy as large as the documented atlas."""
    classes = [Class(name="brainstem"), *(Class(name=p, parent="brainstem") for p in PARTS)]
    names = [(f"{part}_{i}", part) for part in PARTS for i in range(NUCLEI)]
    classes += [Class(name=name, id=i, parent=p) for i, (name, p) in enumerate(names, 1)]
    return Labels(classes=tuple(classes))


def predict(size: int, overlap: float, slabs: int | None) -> None:
    """Predict as the engine does, and say what the process has held."""
    from delineate.data import Prepared
    from delineate.inference import Windows, predict_mask
    from delineate.inference.forecast import foresee

    labels = atlas()
    torch.manual_seed(0)
    network = ViTGNN(1, labels.channels, labels=labels, patch_size=16, **NARROW).eval()
    shape = (size,) * 3
    prepared = Prepared(
        array=scan(shape).numpy(),
        box=tuple((0, n) for n in shape),
        source_shape=shape,
        spacing=(0.2,) * 3,
        separate_axis=None,
    )
    windows = Windows(patch=(PATCH,) * 3, overlap=overlap)
    given: dict[str, Any] = {"channels": labels.channels, "threshold": None, "memory_gb": GB}
    plan = foresee(network, prepared, windows, **given)
    done = 0

    def watch(_: object) -> None:
        nonlocal done
        done += 1
        if done == slabs:
            raise Enough

    began, what = time.perf_counter(), "whole"
    try:
        predict_mask(network, prepared, windows, **given, watch=watch)
    except Enough:
        what = f"the first {done} slabs"
    say(
        f"{size}^3 voxels, {labels.channels} channels of ViT-GNN within {GB:g} GB: the process "
        f"holds {memory('VmHWM'):.2f} GB at its peak ({what}, {time.perf_counter() - began:.0f} s, "
        f"windows of {PATCH}^3, overlap {overlap:g}), foretold {plan.memory_gb:.2f} GB"
    )


def count_training() -> None:
    """The memory of a step, by how many classes and patches there are."""
    from delineate.plan.memory import measure_step

    small = Labels.from_names({f"nucleus_{i}": i for i in range(1, 16)})
    for labels, batch in ((small, 2), (small, 4), (atlas(), 1), (atlas(), 2)):
        for checkpointing in (False, True):
            with torch.device("meta"):
                network = ViTGNN(1, labels.channels, labels=labels, checkpointing=checkpointing)
            found = measure_step(
                network,
                patch=(PATCH,) * 3,
                batch_size=batch,
                channels=1,
                labels=labels,
                device="cuda",
                precision="fp32",
                counted=True,
            )
            say(
                f"training step of ViT-GNN, batch {batch} of {PATCH}^3, {labels.channels} channels"
                f"{', checkpointing' if checkpointing else ''}: {found:.2f} GB (bar {GB:g})"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=400)
    parser.add_argument("--overlap", type=float, default=0.5)
    parser.add_argument("--slabs", type=int, help="stop behind so many; None predicts all")
    parser.add_argument("--training", action="store_true", help="count a training step instead")
    asked = parser.parse_args()
    torch.set_num_threads(THREADS)
    if asked.training:
        count_training()
    else:
        predict(asked.size, asked.overlap, asked.slabs)


if __name__ == "__main__":
    main()
