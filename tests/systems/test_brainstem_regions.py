"""One volume in two parts that share no voxel, with as many classes on both sides as can be."""

import numpy as np
import pytest

from delineate.errors import DataError
from delineate.geometry import slices
from delineate.labels import Labels
from delineate.systems.brainstem.regions import Regions, describe_regions, split_volume

LABELS = Labels.from_names({"a": 1, "b": 2, "c": 3})


def stripes(shape: tuple[int, ...] = (40, 24, 24)) -> np.ndarray:
    """Every class runs along the first axis; across it, each lies on one side."""
    mask = np.zeros(shape, np.int8)
    mask[4:36, 4:8, 2:6] = 1
    mask[4:36, 10:14, 10:14] = 2
    mask[4:36, 18:22, 18:22] = 3
    return mask


def split(mask: np.ndarray, share: float = 0.2) -> Regions:
    return split_volume(mask, LABELS, share=share, patch=(16, 16, 16))


def test_no_voxel_is_in_both_parts_and_a_gap_is_in_neither():
    mask = stripes()
    regions = split(mask)
    seen = np.zeros(mask.shape, int)
    seen[slices(regions.training)] += 1
    seen[slices(regions.validation)] += 1
    assert seen.max() == 1
    assert (seen == 0).any(axis=(1, 2)).sum() == regions.gap == 4


def test_the_axis_with_all_classes_on_both_sides_is_taken():
    regions = split(stripes())
    assert regions.axis == 0
    for counts, box in zip(regions.voxels, (regions.training, regions.validation), strict=True):
        found = np.bincount(stripes()[slices(box)].ravel(), minlength=4)
        assert counts[1:].tolist() == found[1:].tolist()
        assert (counts[1:] > 0).all()
    held = regions.voxels[1].sum() / sum(c.sum() for c in regions.voxels)
    assert 0.2 <= held < 0.3


def test_more_is_held_out_and_the_gap_narrows_where_that_brings_classes_to_both_sides():
    mask = stripes()
    # Only around the middle plane: a gap of four, or a cut near the end, would lose it.
    mask[mask == 2] = 0
    mask[18:22, 10:14, 10:14] = 2
    regions = split(mask)
    assert regions.axis == 0
    assert all((counts[1:] > 0).all() for counts in regions.voxels)
    assert regions.gap < 4


def test_what_either_part_lacks_is_said():
    mask = stripes()
    mask[mask == 3] = 0
    mask[6:9, 18:22, 0:3] = 3
    regions = split(mask)
    said = "\n".join(describe_regions(regions, LABELS))
    training, validation = regions.voxels
    assert "left to right are held out" in said
    assert f"gap of {regions.gap} planes" in said
    lacking = "training" if not training[3] else "validation"
    assert f"the {lacking} part has no voxel of c" in said
    assert bool(training[3]) != bool(validation[3])


def test_a_volume_that_cannot_be_cut_is_refused():
    mask = np.zeros((20, 20, 20), np.int8)
    with pytest.raises(DataError, match="20x20x20 cannot be cut"):
        split(mask)
