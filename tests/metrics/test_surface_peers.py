"""Our surfaces against the packages whose definitions they take; skipped where those are absent.

Empty masks are left out here: surface-distance fails on them with NumPy 2 (it asks for np.Inf), and
MONAI gives infinity and NaN where we give the scan's diagonal, 0 and 1.
"""

from collections.abc import Iterator

import numpy as np
import pytest
from scipy import ndimage

from delineate.io import read_mask
from delineate.labels import Class, Labels
from delineate.metrics import measure_surfaces, surface_distances

# They warn of functions of scipy, and of arguments of their own, that they still use.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

SPACINGS = ((1.0, 1.0, 1.0), (0.7, 0.7, 5.0), (2.5, 0.977, 0.977), (1.0, 1.0), (0.4, 1.3))
TOLERANCES = (0.0, 1.0, 2.0, 3.5)


def blobs(rng, shape, level):
    field = ndimage.gaussian_filter(rng.normal(size=shape), 1.5)
    return field > np.quantile(field, level)


def one_voxel(rng, shape, _):
    mask = np.zeros(shape, bool)
    mask[tuple(rng.integers(0, shape))] = True
    return mask


def at_the_border(rng, shape, level):
    mask = blobs(rng, shape, level)
    mask[0] = mask[..., -1] = True
    return mask


def speckles(rng, shape, level):
    mask = rng.random(shape) > level
    mask[tuple(rng.integers(0, shape))] = True
    return mask


KINDS = (blobs, one_voxel, at_the_border, speckles, blobs)


def pairs(number: int = 200) -> Iterator[tuple[np.ndarray, np.ndarray, tuple[float, ...]]]:
    for seed in range(number):
        rng = np.random.default_rng(seed)
        spacing = SPACINGS[seed % len(SPACINGS)]
        shape = tuple(int(n) for n in rng.integers(1, 20, len(spacing)) + 3)
        first, second = KINDS[seed // 5 % 5], KINDS[seed // 25 % 5]
        level = rng.uniform(0.5, 0.97)
        yield first(rng, shape, level), second(rng, shape, level), spacing


def organs(folder):
    """The 21 organs of both raters as overlapping masks, and the spacing."""
    raters = [
        folder / rater / "0522c0251" / "segmentations" for rater in ("radiographer", "oncologist")
    ]
    names = sorted(path.stem for path in raters[0].iterdir())
    masks = [[read_mask(rater / f"{name}.nrrd") for name in names] for rater in raters]
    labels = Labels(
        classes=tuple(Class(name=n, id=i) for i, n in enumerate(names, 1)), overlapping=True
    )
    arrays = [np.stack([mask.array[0] > 0 for mask in rater]) for rater in masks]
    return *arrays, labels, masks[0][0].spacing


def around(*masks):
    """The masks cut to the box that holds them and a voxel more: MONAI takes minutes for whole."""
    there = np.argwhere(np.any(masks, axis=0))
    ends = zip(there.min(0), there.max(0), strict=True)
    box = tuple(slice(max(0, low - 1), high + 2) for low, high in ends)
    return tuple(mask[box] for mask in masks)


def equal_to_surface_distance(ours, prediction, truth, spacing):
    peer = pytest.importorskip("surface_distance")
    found = peer.compute_surface_distances(truth, prediction, spacing)
    assert ours.hd == pytest.approx(peer.compute_robust_hausdorff(found, 100), rel=1e-9)
    assert ours.hd95 == pytest.approx(peer.compute_robust_hausdorff(found, 95), rel=1e-9)
    sides = peer.compute_average_surface_distance(found)
    areas = found["surfel_areas_gt"].sum(), found["surfel_areas_pred"].sum()
    assert ours.assd == pytest.approx(np.average(sides, weights=areas), rel=1e-9, abs=1e-12)
    for mm in TOLERANCES:
        theirs = peer.compute_surface_dice_at_tolerance(found, mm + 1e-6)
        assert ours.surface_dice(mm) == pytest.approx(theirs, rel=1e-9, abs=1e-12)
        shares = peer.compute_surface_overlap_at_tolerance(found, mm + 1e-6)
        f1 = 2 * np.prod(shares) / sum(shares) if sum(shares) else 0
        assert ours.boundary_f1(mm) == pytest.approx(f1, rel=1e-9, abs=1e-12)


def equal_to_monai(ours, prediction, truth, spacing):
    peer = pytest.importorskip("monai.metrics")
    torch = pytest.importorskip("torch")
    masks = [torch.from_numpy(mask[None, None].copy()) for mask in (prediction, truth)]
    given = {"include_background": True, "spacing": spacing}
    hd = peer.compute_hausdorff_distance(*masks, **given)
    assert ours.hd == pytest.approx(float(hd), rel=1e-5, abs=1e-6)
    hd95 = peer.compute_hausdorff_distance(*masks, percentile=95, **given)
    assert ours.hd95 == pytest.approx(float(hd95), rel=1e-5, abs=1e-6)
    assd = peer.compute_average_surface_distance(*masks, symmetric=True, **given)
    assert ours.assd == pytest.approx(float(assd), rel=1e-5, abs=1e-6)
    for mm in TOLERANCES:
        dice = peer.compute_surface_dice(*masks, [mm + 1e-6], **given)
        assert ours.surface_dice(mm) == pytest.approx(float(dice), rel=1e-5, abs=1e-6)


def test_elements_equal_surface_distance_on_two_hundred_pairs():
    for prediction, truth, spacing in pairs():
        ours = surface_distances(prediction, truth, spacing, surface="elements")
        equal_to_surface_distance(ours, prediction, truth, spacing)


def test_voxels_equal_monai_on_two_hundred_pairs():
    for prediction, truth, spacing in pairs():
        ours = surface_distances(prediction, truth, spacing)
        equal_to_monai(ours, prediction, truth, spacing)


@pytest.mark.slow
def test_elements_equal_surface_distance_on_the_organs_of_two_raters(real_data):
    prediction, truth, labels, spacing = organs(real_data / "two_raters")
    found = measure_surfaces(prediction, truth, labels, spacing, surface="elements")
    for i, name in enumerate(labels.names):
        equal_to_surface_distance(found[name], *around(prediction[i], truth[i]), spacing)


@pytest.mark.slow
def test_voxels_equal_monai_on_the_organs_of_two_raters(real_data):
    prediction, truth, labels, spacing = organs(real_data / "two_raters")
    found = measure_surfaces(prediction, truth, labels, spacing)
    for i, name in enumerate(labels.names):
        equal_to_monai(found[name], *around(prediction[i], truth[i]), spacing)
