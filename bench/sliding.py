"""Sliding-window prediction and arg-max of a head: ours against nnU-Net's, time and memory.

    python bench/sliding.py [--classes N ...] [--runs N]
    python bench/sliding.py --large [--patch N] [--overlap SHARE]

197x233x189 voxels, windows of 96^3, overlap 1/2, Gaussian weights, a 1x1x1 network, so that nothing
but the windows is measured. nnU-Net runs its own predictor and then an arg-max. The sides take
turns, each time in a process of its own; a process predicts several times and the fastest counts.
Memory is the peak of the process above what it held before. One more run of ours shows that a
budget is held with 128 classes.

`--large` predicts 512x512x800 voxels with 117 classes within 6 GB and shows the peak; it takes
minutes to an hour.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from figure import Figure, say
from sides import THREADS, run_side
from torch import Tensor, nn

SHAPE = (197, 233, 189)
PATCH = 96
BARS = {3: 2.0, 32: 6.0}
BUDGETED = (128, 2.0)
"""Classes, and the GB that they are predicted within."""
LARGE_SHAPE, LARGE_CLASSES, LARGE_GB = (512, 512, 800), 117, 6.0

Predict = Callable[[], Any]


def scan(shape: tuple[int, ...]) -> Tensor:
    """Noise (1, *s), the same for both sides."""
    return torch.from_numpy(np.random.default_rng(0).standard_normal((1, *shape), np.float32))


def ours(
    image: Tensor,
    network: nn.Module,
    classes: int,
    *,
    patch: int = PATCH,
    overlap: float = 0.5,
    memory_gb: float | None = None,
) -> Predict:
    """A mask from our predictor."""
    from delineate.data import Prepared
    from delineate.inference import Windows, predict_mask

    shape = tuple(image.shape[1:])
    prepared = Prepared(
        array=image.numpy(),
        box=tuple((0, n) for n in shape),
        source_shape=shape,
        spacing=(1.0,) * 3,
        separate_axis=None,
    )
    windows = Windows(patch=(patch,) * 3, overlap=overlap)
    return lambda: predict_mask(
        network, prepared, windows, channels=classes, threshold=None, memory_gb=memory_gb
    )


def nnunet(image: Tensor, network: nn.Module, classes: int) -> Predict:
    """A mask from nnU-Net's predictor, without mirroring."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(
        use_mirroring=False,
        perform_everything_on_device=False,
        device=torch.device("cpu"),
        allow_tqdm=False,
    )
    predictor.network = network
    predictor.configuration_manager = SimpleNamespace(patch_size=(PATCH,) * 3)
    predictor.label_manager = SimpleNamespace(num_segmentation_heads=classes)
    return lambda: predictor.predict_sliding_window_return_logits(image).argmax(0).to(torch.uint8)


SIDES = {"ours": ours, "nnunet": nnunet}


def memory(line: str) -> float:
    """A line of this process's status in GB: VmRSS is what it holds, VmHWM the most it has held."""
    for text in Path("/proc/self/status").read_text().splitlines():
        if text.startswith(line):
            return int(text.split()[1]) * 1024 / 1e9
    sys.exit("sliding: memory is read from /proc/self/status, which only Linux has")


def measure(predict: Predict, runs: int) -> dict[str, Any]:
    """Seconds of each run, and the GB held before and at the peak."""
    idle = memory("VmRSS")
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        predict()
        seconds.append(time.perf_counter() - started)
    return {"seconds": seconds, "idle_gb": idle, "peak_gb": memory("VmHWM")}


def head(classes: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Conv3d(1, classes, 1).eval()


def run_one(asked: argparse.Namespace) -> dict[str, Any]:
    """What `--side` does: measure one side in this process."""
    torch.set_num_threads(THREADS)
    (classes,) = asked.classes
    network, image = head(classes), scan(SHAPE)
    if asked.memory_gb is not None:
        return measure(ours(image, network, classes, memory_gb=asked.memory_gb), asked.runs)
    return measure(SIDES[asked.side](image, network, classes), asked.runs)


def compare(classes: int, runs: int) -> None:
    """One line of the results, and the memory of both sides."""
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    for _ in range(runs):
        for side in SIDES:
            words = ("--side", side, "--classes", classes)
            found[side] += run_side(__file__, words)
    best = {side: min(min(f["seconds"]) for f in found[side]) for side in SIDES}
    peak = {side: max(f["peak_gb"] - f["idle_gb"] for f in found[side]) for side in SIDES}
    work = f"windows of {PATCH}^3 over {'x'.join(map(str, SHAPE))}, {classes} classes, arg-max"
    say(
        Figure(
            work=work,
            peer="nnU-Net",
            ours=best["ours"],
            theirs=best["nnunet"],
            unit="s",
            bar=BARS.get(classes),
        )
    )
    say(
        f"{work}: peak memory above the idle process {peak['ours']:.2f} GB, "
        f"nnU-Net {peak['nnunet']:.2f} GB"
    )


def hold_budget() -> None:
    classes, budget = BUDGETED
    words = ("--side", "ours", "--classes", classes, "--runs", 1, "--memory-gb", budget)
    (found,) = run_side(__file__, words)
    say(
        f"{classes} classes within {budget:g} GB: the process holds {found['peak_gb']:.2f} GB "
        f"at its peak and takes {found['seconds'][0]:.1f} s"
    )


def predict_large(patch: int, overlap: float) -> None:
    """Predict the large volume in this process and say what it takes."""
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv3d(1, 8, 3, padding=1), nn.ReLU(inplace=True), nn.Conv3d(8, LARGE_CLASSES, 1)
    ).eval()
    predict = ours(
        scan(LARGE_SHAPE),
        network,
        LARGE_CLASSES,
        patch=patch,
        overlap=overlap,
        memory_gb=LARGE_GB,
    )
    found = measure(predict, 1)
    say(
        f"{'x'.join(map(str, LARGE_SHAPE))} voxels, {LARGE_CLASSES} classes "
        f"within {LARGE_GB:g} GB: "
        f"the process holds {found['peak_gb']:.2f} GB at its peak and takes "
        f"{found['seconds'][0]:.0f} s (windows of {patch}^3, overlap {overlap:g})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classes", type=int, nargs="+", default=list(BARS))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--large", action="store_true", help="the volume of 512x512x800 instead")
    parser.add_argument("--patch", type=int, default=128, help="of --large")
    parser.add_argument("--overlap", type=float, default=0.5, help="of --large")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--memory-gb", type=float, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side:
        print(json.dumps(run_one(asked)))
        return
    if asked.large:
        predict_large(asked.patch, asked.overlap)
        return
    hold_budget()
    if find_spec("nnunetv2") is None:
        sys.exit("sliding: nnunetv2 is not installed here. Fix: make bench")
    for classes in asked.classes:
        compare(classes, asked.runs)


if __name__ == "__main__":
    main()
