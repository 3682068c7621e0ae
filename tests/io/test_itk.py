import numpy as np
import pytest
import SimpleITK

from delineate.errors import DataError
from delineate.io import read_header, read_mask, read_volume, write_image, write_mask

DIRECTION = (0.0, -1, 0, 0.6, 0, 0.8, -0.8, 0, 0.6)


def saved(tmp_path, array, name, *, vector=False, direction=DIRECTION):
    image = SimpleITK.GetImageFromArray(array, isVector=vector)
    if image.GetDimension() == 3:
        image.SetDirection(direction)
        image.SetSpacing((0.5, 1.5, 2))
        image.SetOrigin((5, -7, 11))
    SimpleITK.WriteImage(image, str(tmp_path / name))
    return tmp_path / name, image


@pytest.mark.parametrize("suffix", [".nrrd", ".nhdr", ".mha", ".mhd"])
def test_every_voxel_lies_where_itk_says_in_lps(tmp_path, suffix):
    array = np.arange(60, dtype=np.int16).reshape(5, 4, 3)
    path, image = saved(tmp_path, array, f"scan{suffix}")
    volume = read_volume(path)
    for index in np.ndindex(volume.shape):
        ras = (volume.affine @ [*index, 1])[:3]
        there = image.TransformPhysicalPointToIndex((ras * (-1, -1, 1)).tolist())
        assert volume.array[0][index] == image[there]
    header = read_header(path)
    assert header.shape == volume.shape
    assert header.dtype == volume.array.dtype == np.int16
    np.testing.assert_array_equal(header.affine, volume.affine)


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
def test_every_pixel_type_keeps_its_type(tmp_path, dtype):
    path, _ = saved(tmp_path, np.ones((5, 4, 3), dtype), "scan.nrrd")
    assert read_volume(path).array.dtype == read_header(path).dtype == np.dtype(dtype)


def test_components_of_a_vector_are_channels(tmp_path):
    array = np.random.default_rng(0).integers(0, 9, (5, 4, 3, 2)).astype(np.uint8)
    path, _ = saved(tmp_path, array, "scan.nrrd", vector=True)
    volume = read_volume(path)
    assert read_header(path).channels == 2
    for index in range(2):
        single, _ = saved(tmp_path, array[..., index].copy(), "single.nrrd")
        np.testing.assert_array_equal(volume.array[index], read_volume(single).array[0])


def test_a_fourth_axis_is_channels(tmp_path):
    array = np.random.default_rng(0).integers(0, 9, (2, 5, 4, 3)).astype(np.uint8)
    path, _ = saved(tmp_path, array, "scan.nrrd")
    volume = read_volume(path)
    assert volume.array.shape == (2, 3, 4, 5)
    # The identity in LPS is two flips in RAS+.
    np.testing.assert_array_equal(volume.array, array.transpose(0, 3, 2, 1)[:, ::-1, ::-1])


def test_two_dimensions_are_a_volume_of_one_slice(tmp_path):
    array = np.arange(12, dtype=np.uint8).reshape(4, 3)
    path, _ = saved(tmp_path, array, "scan.mha")
    volume = read_volume(path)
    assert volume.source.shape == (3, 4, 1)
    np.testing.assert_array_equal(volume.array[0, :, :, 0], array.T[::-1, ::-1])


def test_real_masks_read_at_their_places(real_data):
    folder = real_data / "two_raters" / "oncologist" / "0522c0251" / "segmentations"
    path = folder / "Mandible.nrrd"
    mask, image = read_mask(path), SimpleITK.ReadImage(str(path))
    assert mask.array.sum() == SimpleITK.GetArrayFromImage(image).sum() > 0
    for index in np.argwhere(mask.array[0])[::500]:
        ras = (mask.affine @ [*index, 1])[:3]
        assert image[image.TransformPhysicalPointToIndex((ras * (-1, -1, 1)).tolist())] == 1


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_what_is_written_reads_back_equal(tmp_path, suffix):
    path, _ = saved(tmp_path, np.arange(60, dtype=np.float32).reshape(5, 4, 3), "scan.nrrd")
    volume = read_volume(path)
    several = np.concatenate([volume.array, volume.array * 2, volume.array / 3])
    write_image(tmp_path / f"image{suffix}", several, like=volume)
    image = read_volume(tmp_path / f"image{suffix}")
    np.testing.assert_array_equal(image.array, several)
    np.testing.assert_allclose(image.affine, volume.affine, atol=1e-9)
    overlapping = np.stack([several[0] > 9, several[0] > 30])
    write_mask(tmp_path / f"mask{suffix}", overlapping, like=volume)
    mask = read_mask(tmp_path / f"mask{suffix}")
    assert mask.array.dtype == np.uint8
    np.testing.assert_array_equal(mask.array, overlapping)


@pytest.mark.parametrize("read", [read_volume, read_header])
def test_broken_and_complex_files_are_named_errors(tmp_path, read):
    (tmp_path / "bad.nrrd").write_text("not a header")
    with pytest.raises(DataError, match=r"bad\.nrrd: cannot be read: "):
        read(tmp_path / "bad.nrrd")
    path, _ = saved(tmp_path, np.ones((3, 3, 3), np.complex64), "complex.nrrd")
    with pytest.raises(DataError, match=r"complex\.nrrd: holds complex of 32-bit float, which"):
        read(path)


def test_a_truncated_file_is_a_named_error(tmp_path):
    path, _ = saved(tmp_path, np.ones((5, 4, 3), np.int16), "scan.mha")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"scan\.mha: cannot be read: "):
        read_volume(path)
