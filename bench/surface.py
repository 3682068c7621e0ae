"""HD95 and surface Dice of 16 classes: ours against DeepMind's surface-distance, in one process.

    python bench/surface.py [--size N] [--runs N]

The two count differently (voxels here, surface elements weighted by area there); the work is the
same: distances between both surfaces of every class, their 95th percentile and the share within
1 mm.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
from figure import Figure, say

CLASSES = 16


def blobs(size: int) -> np.ndarray:
    """A ball cut into cells, one a class: every surface has neighbours."""
    rng = np.random.default_rng(1)
    axes = [np.linspace(-1, 1, size, dtype=np.float32)] * 3
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    centres = rng.uniform(-0.6, 0.6, (CLASSES, 3)).astype(np.float32)
    ids = np.stack([((grid - c) ** 2).sum(-1) for c in centres]).argmin(0).astype(np.uint8) + 1
    ids[(grid**2).sum(-1) > 0.7] = 0
    return ids


def ours(prediction: np.ndarray, truth: np.ndarray) -> None:
    from delineate.labels import Labels
    from delineate.metrics import measure_surfaces

    labels = Labels.from_names({f"class_{i}": i for i in range(1, CLASSES + 1)})
    found = measure_surfaces(prediction, truth, labels, (1.0, 1.0, 1.0))
    for distances in found.values():
        _ = distances.hd95, distances.surface_dice(1.0)


def theirs(prediction: np.ndarray, truth: np.ndarray) -> None:
    import surface_distance as peer

    for i in range(1, CLASSES + 1):
        found = peer.compute_surface_distances(truth == i, prediction == i, (1.0, 1.0, 1.0))
        peer.compute_robust_hausdorff(found, 95)
        peer.compute_surface_dice_at_tolerance(found, 1.0)


def seconds(side: Callable[[np.ndarray, np.ndarray], None], *masks: np.ndarray) -> float:
    started = time.perf_counter()
    side(*masks)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=205, help="voxels an axis")
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    truth = blobs(asked.size)
    prediction = np.roll(truth, 2, 0)
    few = truth[::8, ::8, ::8]
    ours(few, few)
    try:
        theirs(few, few)
    except ImportError as error:
        sys.exit(f"surface: {error.name} is not installed here. Fix: make bench")
    pairs = [
        (seconds(ours, prediction, truth), seconds(theirs, prediction, truth))
        for _ in range(asked.runs)
    ]
    say(
        Figure(
            work=f"HD95 and surface Dice, {CLASSES} classes, {asked.size}^3 voxels",
            peer="surface-distance",
            ours=statistics.median(pair[0] for pair in pairs),
            theirs=statistics.median(pair[1] for pair in pairs),
            unit="s",
        )
    )


if __name__ == "__main__":
    main()
