"""The documented set of synthetic trunks: its splits, its noise, its command line."""

from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser, Namespace
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from delineate.datasets.new_folder import new_folder
from delineate.datasets.phantom_structures import (
    STRUCTURES,
    Variation,
    about,
    draw_scenario,
    draw_structures,
)
from delineate.datasets.shares import deal
from delineate.datasets.write_hdf5 import Sample, write_samples
from delineate.errors import DataError
from delineate.plain_errors import plain_errors

__all__ = ["generate", "main", "stratified"]

DEFAULTS = Variation.within(position=0.05, size=0.2, intensity=0.15)


def generate(
    out: Path,
    *,
    samples: int = 1000,
    shape: tuple[int, ...] = (64, 64, 32),
    shares: Mapping[str, float],
    variation: Variation = DEFAULTS,
    seed: int = 42,
) -> dict[str, int]:
    """Write train.h5, val.h5, test.h5 and metadata.json; how many samples each holds.

    Sample i is case i of `delineate synth structures` with that seed, shape and variation. Each
    scenario is spread over the splits by their shares.

    Args:
        out: A new or empty folder.
        samples: In all splits together.
        shape: Right, anterior, superior; 16 or more each.
        shares: By file name without its end; they sum to 1.
        variation: How much structures differ.
        seed: Another one gives other patients.
    """
    if samples < 1 or len(shape) != 3 or min(shape) < 16:
        raise DataError(
            f"synthetic data: {samples} samples of {'x'.join(map(str, shape))} cannot be drawn. "
            "Fix: ask for 1 or more of three sizes of 16 or more."
        )
    if min(shares.values()) < 0 or abs(sum(shares.values()) - 1) > 1e-9:
        raise DataError(
            f"synthetic data: shares of {shares} leave no training samples or are negative. "
            "Fix: give a validation and a test split of 0 or more, below 1 together."
        )
    with new_folder(Path(out)) as part:
        drawn = _draw(stratified(samples, shares, seed), shape, variation, seed)
        return write_samples(part, STRUCTURES.labels.names, drawn, about=about(variation))


def stratified(samples: int, shares: Mapping[str, float], seed: int) -> list[str]:
    """The split of each sample, every scenario being dealt by the shares."""
    scenarios = _scenarios(samples, seed)
    order = sorted(range(samples), key=lambda i: (scenarios[i], i))
    dealt = deal(samples, {name: share for name, share in shares.items() if share > 0})
    splits = [""] * samples
    for place, split in zip(order, dealt, strict=True):
        splits[place] = split
    return splits


def _scenarios(samples: int, seed: int) -> list[str]:
    return [draw_scenario(np.random.default_rng((seed, i))) for i in range(samples)]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; None takes its words."""
    asked = _parse(arguments)
    with plain_errors():
        out = Path(asked.output_dir)
        if asked.skip_generation:
            print("Nothing was generated, as asked.")
        else:
            shares = {
                "train": 1 - asked.validation_split - asked.test_split,
                "val": asked.validation_split,
                "test": asked.test_split,
            }
            counts = generate(
                out,
                samples=asked.total_samples,
                shape=asked.image_size,
                shares=shares,
                variation=Variation.within(
                    position=asked.position_noise,
                    size=asked.size_noise,
                    intensity=asked.intensity_noise,
                ),
                seed=asked.seed,
            )
            if asked.verbose:
                drawn = Counter(_scenarios(asked.total_samples, asked.seed))
                print("\n".join(f"{n:6} {name}" for name, n in drawn.most_common()))
            print(f"{out}: {', '.join(f'{n} in {split}.h5' for split, n in counts.items())}")
        if not asked.skip_visualization:
            print(f"Pictures: {_draw_some(out)}")
        if not asked.skip_training_test:
            print(f"A sample reads as {_try(out)}")


def _parse(arguments: Sequence[str] | None) -> Namespace:
    parser = ArgumentParser(
        description="Make a seeded set of synthetic trunks with 13 structures in 14 scenarios.",
        formatter_class=ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--image-size", type=_sizes, default="64,64,32", help="voxels along each axis")
    add("--total-samples", type=int, default=1000, help="in all splits")
    add("--validation-split", type=float, default=0.2, help="share of the samples")
    add("--test-split", type=float, default=0.1, help="share of the samples")
    add("--output-dir", default="./synthetic_medical_dataset_hdf5", help="a new folder")
    noise = "two standard deviations, as a share of"
    add("--position-noise", type=float, default=0.05, help=f"{noise} the field of view")
    add("--size-noise", type=float, default=0.2, help=f"{noise} each radius")
    add("--intensity-noise", type=float, default=0.15, help=f"{noise} the signal")
    add("--seed", type=int, default=42, help="another one gives other patients")
    add("--skip-generation", action="store_true", help="use the folder that is there")
    add("--skip-visualization", action="store_true", help="draw no pictures")
    add("--skip-training-test", action="store_true", help="do not read a sample back")
    add("-v", "--verbose", action="store_true", help="say how often each scenario is drawn")
    return parser.parse_args(arguments)


def _draw(
    splits: Sequence[str], shape: tuple[int, ...], variation: Variation, seed: int
) -> Iterator[Sample]:
    for i, split in enumerate(splits):
        drawing = draw_structures(np.random.default_rng((seed, i)), shape, variation=variation)
        yield Sample(
            split=split,
            image=drawing.image,
            masks=drawing.mask,
            presence=drawing.presence or (),
            scenario=drawing.scenario,
        )


def _draw_some(out: Path) -> Path:
    """Pictures of the first three training samples."""
    from delineate.datasets import read_dataset
    from delineate.report.plot import write_plot
    from delineate.report.record import Scan

    dataset = read_dataset(out, layout="hdf5")
    folder = out / "visualizations"
    for case in [case for case in dataset.cases if case.split == "train"][:3]:
        scan = Scan(id=case.id, image=case.images[0], truth=case.label)
        write_plot(scan, folder / f"{case.id}.png", labels=dataset.labels)
    return folder


def _try(out: Path) -> str:
    """The first training sample, read as training reads it, in words."""
    from delineate.systems.sadaan.dataset import HDF5MedicalDataset

    item = HDF5MedicalDataset(out, "train")[0]
    shapes = {name: tuple(item[name].shape) for name in ("image", "masks", "presence")}
    return f"{shapes}, scenario '{item['scenario']}'"


def _sizes(text: str) -> tuple[int, ...]:
    """The numbers of '64,64,32'; argparse tells a ValueError."""
    return tuple(int(size) for size in text.split(","))
