"""All overlap, volume and surface figures of 16 classes: ours against two peers, in one process.

    python bench/metrics.py [--size N N N] [--runs N]

DeepMind's surface-distance gives only HD95 and surface Dice, MONAI only HD95; ours is everything
that `delineate evaluate` takes by default, and surface Dice and boundary F1 at 1 mm besides. The
first line measures surfaces as MONAI does, the second as surface-distance does, by elements.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
from figure import Figure, say

CLASSES = 16
BAR = 5.0
SPACING = (1.0, 1.0, 1.0)

Side = Callable[[np.ndarray, np.ndarray], object]


def blobs(shape: Sequence[int]) -> np.ndarray:
    """A ball cut into cells, one a class: every surface has neighbours."""
    rng = np.random.default_rng(1)
    axes = [np.linspace(-1, 1, size, dtype=np.float32) for size in shape]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    centres = rng.uniform(-0.6, 0.6, (CLASSES, 3)).astype(np.float32)
    ids = np.stack([((grid - c) ** 2).sum(-1) for c in centres]).argmin(0).astype(np.uint8) + 1
    ids[(grid**2).sum(-1) > 0.7] = 0
    return ids


def ours(surface: str) -> Side:
    from delineate.labels import Labels
    from delineate.metrics import Measures, score_masks

    labels = Labels.from_names({f"class_{i}": i for i in range(1, CLASSES + 1)})
    measures = Measures(tolerance_mm=1.0, surface=surface)  # type: ignore[arg-type]
    return lambda one, other: score_masks(one, other, labels, SPACING, measures=measures)


def surface_distance(prediction: np.ndarray, truth: np.ndarray) -> None:
    import surface_distance as peer

    for i in range(1, CLASSES + 1):
        found = peer.compute_surface_distances(truth == i, prediction == i, SPACING)
        peer.compute_robust_hausdorff(found, 95)
        peer.compute_surface_dice_at_tolerance(found, 1.0)


def monai(prediction: np.ndarray, truth: np.ndarray) -> None:
    import torch
    from monai.metrics import compute_hausdorff_distance

    layers = (
        torch.from_numpy(np.stack([mask == i for i in range(CLASSES + 1)]))[None]
        for mask in (prediction, truth)
    )
    compute_hausdorff_distance(*layers, percentile=95, spacing=SPACING)


PEERS: dict[str, Side] = {"surface-distance": surface_distance, "MONAI": monai}


def seconds(side: Side, *masks: np.ndarray) -> float:
    started = time.perf_counter()
    side(*masks)
    return time.perf_counter() - started


def measure(prediction: np.ndarray, truth: np.ndarray, *, runs: int) -> None:
    """Say a line for each definition and peer; a peer that is absent is named and left out."""
    few = truth[::8, ::8, ::8].copy()
    sides = {"voxels": ours("voxels"), "elements": ours("elements")}
    for side in sides.values():
        side(few, few)
    for peer, theirs in PEERS.items():
        try:
            theirs(few, few)
        except ImportError as error:
            say(f"metrics: {error.name} is not installed here, its lines are left out. "
                "Fix: make bench")  # fmt: skip
            continue
        taken: dict[str, list[float]] = {name: [] for name in (*sides, "theirs")}
        for _ in range(runs):
            for name, side in (*sides.items(), ("theirs", theirs)):
                taken[name].append(seconds(side, prediction, truth))
        for name in sides:
            size = "x".join(str(n) for n in truth.shape)
            say(
                Figure(
                    work=f"all figures of {CLASSES} classes, surfaces as {name}, {size}",
                    peer=peer,
                    ours=statistics.median(taken[name]),
                    theirs=statistics.median(taken["theirs"]),
                    unit="s",
                    bar=BAR if peer == "surface-distance" else None,
                )
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, nargs=3, default=(197, 233, 189), help="voxels")
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    truth = blobs(asked.size)
    prediction = np.roll(truth, 2, 0)
    prediction[:, :5] = 0
    measure(prediction, truth, runs=asked.runs)


if __name__ == "__main__":
    main()
