import numpy as np
import pytest
import SimpleITK

from delineate.errors import DataError
from delineate.io import read_volume
from delineate.io.blocks import block_axis, writing_blocks
from delineate.io.orient import canonical
from delineate.io.volume import Grid, Stored

AXES = {
    "as they are": np.diag((1.0, 2.0, 3.0, 1.0)),
    "against": np.diag((-1.0, -2.0, 3.0, 1.0)),
    "in another order": np.array([[0, 0, -3.0, 9], [1.0, 0, 0, -4], [0, -2.0, 0, 5], [0, 0, 0, 1]]),
}


def scan(affine, shape=(5, 6, 7)):
    return canonical(
        Stored(array=np.zeros((1, *shape), np.uint8), grid=Grid(shape=shape, affine=affine))
    )


def write(path, values, like, step):
    with writing_blocks(path, len(values), like, name="probabilities") as put:
        axis = 1 + block_axis(like)
        for start in range(0, values.shape[axis], step):
            rows = (slice(None),) * axis + (slice(start, start + step),)
            put(start, values[rows])


@pytest.mark.parametrize("affine", AXES.values(), ids=AXES)
@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".h5"])
@pytest.mark.parametrize("channels", [1, 3])
def test_blocks_come_back_as_they_were_on_the_files_own_axes(tmp_path, affine, suffix, channels):
    like = scan(affine)
    values = np.random.default_rng(0).random((channels, *like.shape), np.float32)
    path = tmp_path / f"x{suffix}"
    write(path, values, like, step=2)
    found = read_volume(path)
    np.testing.assert_array_equal(found.array, values)
    np.testing.assert_allclose(found.affine, like.affine, atol=1e-6)
    assert found.source.shape == like.source.shape


def test_itk_reads_our_nrrd_where_it_lies(tmp_path):
    like = scan(AXES["in another order"])
    values = np.random.default_rng(0).random((1, *like.shape), np.float32)
    write(tmp_path / "x.nrrd", values, like, step=3)
    write(tmp_path / "x.nii", values, like, step=3)
    one, other = (SimpleITK.ReadImage(str(tmp_path / f"x{s}")) for s in (".nrrd", ".nii"))
    np.testing.assert_allclose(one.GetOrigin(), other.GetOrigin(), atol=1e-6)
    np.testing.assert_allclose(one.GetDirection(), other.GetDirection(), atol=1e-6)
    np.testing.assert_array_equal(*(SimpleITK.GetArrayFromImage(image) for image in (one, other)))


def test_pictures_go_into_volumes_of_one_slice_or_stay_flat(tmp_path):
    like = canonical(
        Stored(array=np.zeros((1, 5, 6), np.uint8), grid=Grid(shape=(5, 6), affine=np.eye(4)))
    )
    values = np.random.default_rng(0).random((2, 5, 6), np.float32)
    for suffix, shape in ((".h5", (2, 5, 6)), (".nii", (2, 5, 6, 1))):
        write(tmp_path / f"x{suffix}", values, like, step=2)
        found = read_volume(tmp_path / f"x{suffix}").array
        np.testing.assert_array_equal(found, values.reshape(shape))


def test_a_file_appears_only_when_all_went_well(tmp_path):
    def stop_halfway(path):
        with writing_blocks(path, 1, scan(np.eye(4)), name="p") as put:
            put(0, np.ones((1, 5, 6, 2), np.float32))
            raise RuntimeError

    for suffix in (".nii", ".nrrd", ".h5"):
        with pytest.raises(RuntimeError):
            stop_halfway(tmp_path / f"x{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_a_format_that_is_written_at_once_is_refused(tmp_path):
    with (
        pytest.raises(DataError, match=r"cannot be written in parts. Can be: .nii, .nrrd, .h5"),
        writing_blocks(tmp_path / "x.nii.gz", 1, scan(np.eye(4)), name="p"),
    ):
        pass
