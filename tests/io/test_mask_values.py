import nibabel as nib
import numpy as np
import pytest

from delineate.errors import DataError
from delineate.io import read_mask, read_volume, write_mask
from delineate.io.mask import smallest_type, whole_numbers


def saved(tmp_path, array):
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "mask.nii.gz")
    return tmp_path / "mask.nii.gz"


def test_float_labels_close_to_whole_numbers_are_rounded(tmp_path):
    labels = np.random.default_rng(0).integers(0, 5, (4, 5, 6))
    dusty = (labels + np.linspace(-9e-4, 9e-4, labels.size).reshape(labels.shape)).astype("f4")
    mask = read_mask(saved(tmp_path, dusty))
    assert mask.array.dtype == np.uint8
    np.testing.assert_array_equal(mask.array[0], labels)


def test_other_floats_are_an_error_with_examples(tmp_path):
    array = np.zeros((2, 3, 4), np.float32)
    array[0, 0, :3] = 0.5, 0.25, np.nan
    path = saved(tmp_path, array)
    with pytest.raises(DataError) as error:
        read_mask(path)
    assert str(error.value) == (
        f"{path}: a mask must hold whole numbers, but 3 of 24 voxels do not: 0.25, 0.5, nan. "
        "Within 0.001 they would be rounded. "
        "Fix: save labels, not probabilities, and resample masks with nearest neighbour."
    )


@pytest.mark.parametrize("value", [np.inf, -np.inf, 3e9 + 0.5])
def test_values_beyond_integers_are_no_labels(value):
    with pytest.raises(DataError, match="1 of 2 voxels do not"):
        whole_numbers(np.array([0, value]), "mask")


def test_large_whole_floats_stay_exact():
    assert whole_numbers(np.array([0, 2.0**40]), "mask").tolist() == [0, 2**40]


@pytest.mark.parametrize(
    ("low", "high", "name"),
    [
        (0, 255, "uint8"),
        (0, 256, "int16"),
        (-1, 3, "int16"),
        (0, 40000, "uint16"),
        (-1, 40000, "int32"),
        (0, 2**31, "uint32"),
        (0, 2**40, "int64"),
    ],
)
def test_ids_are_written_in_the_smallest_type_that_readers_know(tmp_path, low, high, name):
    array = np.array([[[low, high]]])
    assert smallest_type(array).dtype == name
    volume = read_volume(saved(tmp_path, np.zeros((1, 1, 2), np.float32)))
    write_mask(tmp_path / "out.nii.gz", array, like=volume)
    written = nib.load(tmp_path / "out.nii.gz")
    assert written.get_data_dtype() == name
    np.testing.assert_array_equal(np.asanyarray(written.dataobj), array)


def test_float_masks_are_not_written(tmp_path):
    volume = read_volume(saved(tmp_path, np.zeros((1, 1, 2), np.float32)))
    with pytest.raises(ValueError, match="a mask must hold integers or booleans, got float32"):
        write_mask(tmp_path / "out.nii.gz", volume.array[0], like=volume)


def test_overlapping_masks_keep_their_channels_and_single_ones_keep_one(tmp_path):
    several = np.random.default_rng(0).integers(0, 2, (3, 4, 5, 6)).astype(bool)
    volume = read_volume(saved(tmp_path, np.zeros((4, 5, 6), np.float32)))
    write_mask(tmp_path / "out.nii.gz", several, like=volume)
    assert nib.load(tmp_path / "out.nii.gz").shape == (4, 5, 6, 3)
    np.testing.assert_array_equal(read_mask(tmp_path / "out.nii.gz").array, several)
    write_mask(tmp_path / "out.nii.gz", several[:1], like=volume)
    assert nib.load(tmp_path / "out.nii.gz").shape == (4, 5, 6)
    assert read_mask(tmp_path / "out.nii.gz").array.shape == (1, 4, 5, 6)


def test_real_float_masks_read_as_integers(real_data):
    paths = sorted((real_data / "stroke_lesion_masks").glob("Subject_00*.nii.gz"))[:3]
    for path in paths:
        mask = read_mask(path)
        assert mask.array.dtype == np.uint8
        assert set(np.unique(mask.array)) == {0, 1}
