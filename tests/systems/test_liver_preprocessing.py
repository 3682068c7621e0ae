"""Intensities: they follow from the scan alone, stay in the window and are never NaN."""

import numpy as np
import pytest

from delineate import io
from delineate.errors import DataError
from delineate.systems.liver.preprocessing import prepare_volume
from delineate.systems.liver.settings import PreprocessingConfig


def volume(array: np.ndarray, affine: np.ndarray) -> io.Volume:
    """As it is read from a file whose axes are canonical."""
    grid = io.Grid(shape=array.shape, affine=affine)
    return io.Volume(array=array[None], affine=affine, source=grid)


def body(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Tissue of 0 to 100 HU with air around it."""
    array = np.full(shape, -1000, np.int16)
    inside = tuple(slice(n // 5, n - n // 5) for n in shape)
    size = array[inside].shape
    array[inside] = np.random.default_rng(seed).integers(0, 100, size)
    return array


@pytest.mark.parametrize("method", ["zscore", "minmax", "robust"])
def test_intensities_follow_from_the_body_alone(method: str) -> None:
    scan = volume(body((20, 20, 20)), np.eye(4))
    settings = PreprocessingConfig(
        target_spacing=(1, 1, 1), target_size=(24, 24, 24), normalize_method=method
    )
    array, grid, rule = prepare_volume(scan, settings)
    inner = array[(0, *(slice(a, b) for a, b in grid.box))]
    tissue = scan.array[0] > -100
    expected = np.clip(scan.array[0].astype(np.float64), -100, 400)
    if method == "zscore":
        expected = (expected - expected[tissue].mean()) / expected[tissue].std()
    elif method == "minmax":
        expected = (expected + 100) / 500
    else:
        low, high = np.percentile(expected[tissue], (1, 99))
        expected = np.clip((expected - low) / (high - low), 0, 1)
    np.testing.assert_allclose(inner, expected, atol=1e-4)
    assert array.shape == (1, 24, 24, 24)
    assert array.dtype == np.float32
    assert array[0, 0, 0, 0] == pytest.approx((rule.low - rule.mean) / rule.deviation)
    assert array[0, 0, 0, 0] == array.min()


@pytest.mark.parametrize("method", ["zscore", "minmax", "robust"])
@pytest.mark.parametrize("value", [-1024, 40, 3000])
def test_a_scan_of_one_value_is_never_nan(method: str, value: int) -> None:
    scan = volume(np.full((6, 6, 6), value, np.int16), np.eye(4))
    settings = PreprocessingConfig(target_size=None, normalize_method=method)
    assert np.isfinite(prepare_volume(scan, settings).array).all()


def test_resampled_intensities_stay_in_the_window() -> None:
    steps = np.where(np.arange(20) < 10, -1000, 3000).astype(np.int16)
    scan = volume(np.broadcast_to(steps, (8, 8, 20)).copy(), np.eye(4))
    settings = PreprocessingConfig(
        target_spacing=(1, 1, 0.6), target_size=None, normalize_method="minmax"
    )
    array = prepare_volume(scan, settings).array
    assert (array.min(), array.max()) == (0, 1)
    assert array.shape == (1, 8, 8, 33)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((4, 4, 4), np.nan, np.float32), "NaN or infinite"),
        (np.zeros((2, 4, 4, 4), np.float32), "has 2 channels of 3 axes"),
    ],
)
def test_what_is_no_ct_is_refused(array: np.ndarray, message: str) -> None:
    scan = volume(array[-1] if array.ndim == 4 else array, np.eye(4))
    if array.ndim == 4:
        scan = io.Volume(array=array, affine=np.eye(4), source=scan.source)
    with pytest.raises(DataError, match=message):
        prepare_volume(scan, PreprocessingConfig())
