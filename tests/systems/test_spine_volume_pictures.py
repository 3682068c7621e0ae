"""Scans become pictures as a radiologist sees them, and pictures become scans again."""

import numpy as np
import pytest
from spine_series import volume_of

from delineate.errors import ConfigError, DataError
from delineate.io import Volume
from delineate.io.volume import Grid
from delineate.systems.spine.slices.volume_pictures import (
    choose_plane,
    grey,
    pictures_of,
    to_volume,
)


def volume(array: np.ndarray, spacing=(1.0, 1.0, 1.0)) -> Volume:
    affine = np.diag([*spacing, 1.0])
    return Volume(array=array[None], affine=affine, source=Grid(shape=array.shape, affine=affine))


def test_sagittal_slices_have_anterior_on_the_left_and_superior_on_top():
    rng = np.random.default_rng(0)
    drawn = [rng.integers(0, 255, (4, 3)).astype(np.uint8) for _ in range(2)]
    scan = volume(volume_of(drawn), (3.0, 1.0, 1.0))
    np.testing.assert_array_equal(pictures_of(scan, choose_plane(scan)), drawn)


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_masks_of_slices_go_back_to_where_they_were_cut(plane: str):
    array = np.random.default_rng(1).integers(0, 255, (4, 5, 6)).astype(np.uint8)
    scan = volume(array)
    chosen = choose_plane(scan, plane)
    np.testing.assert_array_equal(to_volume(pictures_of(scan, chosen), chosen), array)


@pytest.mark.parametrize(
    ("shape", "spacing", "wish", "name"),
    [
        ((9, 9, 9), (3.0, 1.0, 1.0), "auto", "sagittal"),
        ((9, 9, 9), (1.0, 1.0, 3.0), "auto", "axial"),
        ((9, 9, 9), (1.0, 3.0, 1.0), "auto", "coronal"),
        ((9, 9, 9), (1.0, 1.0, 1.05), "auto", "sagittal"),
        ((9, 9, 1), (1.0, 3.0, 1.0), "auto", "axial"),
        ((9, 9, 9), (3.0, 1.0, 1.0), "coronal", "coronal"),
    ],
)
def test_scans_are_cut_as_they_were_acquired(shape, spacing, wish, name):
    scan = volume(np.zeros(shape, np.uint8), spacing)
    assert choose_plane(scan, wish).name == name


def test_a_dicom_series_is_cut_along_its_own_slices_whatever_their_thickness():
    axes = np.array([[0.0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    scan = Volume(
        array=np.zeros((1, 4, 5, 6), np.uint8),
        affine=np.eye(4),
        source=Grid(shape=(5, 6, 4), affine=axes),
    )
    assert choose_plane(scan, stacked=True).name == "sagittal"


def test_eight_bits_stay_and_more_are_scaled_once_for_all_slices():
    array = np.zeros((2, 30, 40), np.int16)
    array[0] = np.arange(1200).reshape(30, 40)
    array[1] = 600
    found = grey(array)
    low, high = np.percentile(array, (0.5, 99.5))
    expected = np.rint(np.clip((array - low) / (high - low), 0, 1) * 255)
    np.testing.assert_allclose(found, expected, atol=1)
    assert len(np.unique(found[1])) == 1
    kept = np.array([[3, 250]], np.uint8)
    assert grey(kept) is kept


def test_odd_values_make_pictures_all_the_same():
    sparse = np.zeros((4, 50, 50), np.float32)
    sparse[0, 0, :3] = 7
    assert grey(sparse).max() == 255  # less than the percentile leaves out
    assert grey(np.full((3, 3), 5.0)).max() == 0
    broken = np.array([[np.nan, np.inf, -np.inf, 0.0, 1.0]])
    assert grey(broken).dtype == np.uint8


def test_what_is_no_scan_of_one_channel_is_refused():
    affine = np.eye(4)
    two = Volume(
        array=np.zeros((2, 3, 3, 3)), affine=affine, source=Grid(shape=(3, 3, 3), affine=affine)
    )
    with pytest.raises(DataError, match="no scan of one channel"):
        pictures_of(two, choose_plane(two))
    with pytest.raises(ConfigError, match="'oblique' is none of auto, axial"):
        choose_plane(two, "oblique")  # type: ignore[arg-type]
