import multiprocessing
import threading

import h5py
import numpy as np
import pytest

from delineate.errors import DataError
from delineate.io import read_header, read_mask, read_volume, stem, write_image, write_mask


@pytest.fixture
def train(tmp_path):
    """A file as the SADAAN system has it: images (N, H, W, D), masks (N, S, H, W, D)."""
    rng = np.random.default_rng(0)
    path = tmp_path / "train.h5"
    with h5py.File(path, "w") as file:
        file["images"] = rng.standard_normal((4, 5, 6, 7)).astype(np.float32)
        file["masks"] = rng.integers(0, 2, (4, 3, 5, 6, 7)).astype(np.uint8)
        file["slices"] = rng.integers(0, 99, (4, 5, 6)).astype(np.int16)
        file["names"] = [b"a", b"b", b"c", b"d"]
        file["nested/flags"] = rng.integers(0, 2, (4, 5, 6)).astype(bool)
    return path


def test_items_are_volumes_overlapping_masks_and_pictures(train):
    with h5py.File(train) as file:
        image, mask, flat = file["images"][2], file["masks"][2], file["slices"][3]
        flags = file["nested/flags"][1]
    np.testing.assert_array_equal(read_volume(f"{train}::images[2]").array, image[None])
    np.testing.assert_array_equal(read_mask(f"{train}::masks[2]").array, mask)
    np.testing.assert_array_equal(read_volume(f"{train}::slices[3]").array, flat[None])
    np.testing.assert_array_equal(read_mask(f"{train}::nested/flags[1]").array, flags[None])
    np.testing.assert_array_equal(read_volume(f"{train}::images[2]").affine, np.eye(4))


@pytest.mark.parametrize("item", ["images[2]", "masks[0]", "slices[1]", "nested/flags[1]"])
def test_the_header_tells_what_reading_gives(train, item):
    header, volume = read_header(f"{train}::{item}"), read_volume(f"{train}::{item}")
    assert (header.channels, *header.shape) == volume.array.shape
    assert header.dtype == volume.array.dtype


def test_image_and_mask_of_one_item_share_their_name(train):
    assert stem(f"{train}::images[2]") == stem(f"{train}::masks[2]") == "train_2"


def test_spacing_and_affine_are_attributes_of_data_set_or_file(train):
    flip = np.diag([-2.0, 3, 4, 1])
    with h5py.File(train, "a") as file:
        file.attrs["spacing"] = (1.0, 2.0, 3.0)
        file["masks"].attrs["affine"] = flip
        raw = file["masks"][0]
    assert read_volume(f"{train}::images[0]").spacing == (1, 2, 3)
    mask = read_mask(f"{train}::masks[0]")
    np.testing.assert_array_equal(mask.array, raw[:, ::-1])
    with pytest.raises(DataError, match=r"slices\[0\]: 'spacing' must have 2 values, got"):
        read_volume(f"{train}::slices[0]")


def test_an_affine_that_is_none_is_an_error(train):
    with h5py.File(train, "a") as file:
        file["images"].attrs["affine"] = np.zeros((4, 4))
    with pytest.raises(DataError, match="'affine' must be an invertible"):
        read_header(f"{train}::images[0]")


def test_what_cannot_be_found_is_listed(train, tmp_path):
    with pytest.raises(DataError) as error:
        read_volume(f"{train}::image[0]")
    assert str(error.value) == (
        f"{train}: no data set 'image'. It holds images (4, 5, 6, 7), masks (4, 3, 5, 6, 7), "
        "names (4,), nested/flags (4, 5, 6), slices (4, 5, 6)."
    )
    with pytest.raises(DataError, match=r"images has shape \(4, 5, 6, 7\), so no item 4"):
        read_volume(f"{train}::images[4]")
    with pytest.raises(DataError, match=r"say which data set is meant\. It holds images"):
        read_volume(train)
    with pytest.raises(DataError, match=r"an item of shape \(\) is neither a picture nor a volume"):
        read_volume(f"{train}::names[0]")
    with pytest.raises(DataError, match=r"trains\.h5: no such file\. Did you mean train\.h5\?"):
        read_volume(f"{tmp_path / 'trains.h5'}::images[0]")
    (tmp_path / "bad.h5").write_bytes(b"no hdf5")
    with pytest.raises(DataError, match=r"bad\.h5: not a readable HDF5 file"):
        read_volume(f"{tmp_path / 'bad.h5'}::images[0]")
    with pytest.raises(DataError, match=r"not a reference\. Fix: write FILE\.h5::DATASET\[INDEX\]"):
        read_volume(f"{train}::images[-1]")
    (tmp_path / "a.png").touch()
    with pytest.raises(DataError, match="only an HDF5 file or a folder of DICOM files has parts"):
        read_volume(f"{tmp_path / 'a.png'}::images[0]")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("item", ["images[1]", "slices[1]"])
def test_what_is_written_reads_back_equal(train, tmp_path, channels, item):
    like = read_volume(f"{train}::{item}")
    array = np.concatenate([like.array + index for index in range(channels)]).astype(np.float32)
    write_image(tmp_path / "image.h5", array, like=like)
    np.testing.assert_array_equal(read_volume(tmp_path / "image.h5").array, array)
    write_mask(tmp_path / "mask.hdf5", array > 1, like=like)
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.hdf5::mask").array, array > 1)


def test_a_replaced_file_is_opened_again(train, tmp_path):
    like = read_volume(f"{train}::images[0]")
    for value in (1, 2):
        write_mask(tmp_path / "mask.h5", np.full(like.shape, value), like=like)
        assert (read_mask(tmp_path / "mask.h5").array == value).all()


def test_many_files_do_not_pile_up_handles(train, tmp_path):
    like = read_volume(f"{train}::images[0]")
    for index in range(20):
        write_mask(tmp_path / f"{index}.h5", np.full(like.shape, index), like=like)
        assert (read_mask(tmp_path / f"{index}.h5").array == index).all()
    assert (read_mask(tmp_path / "0.h5").array == 0).all()


def _sum(reference, answers):
    answers.append(float(read_volume(reference).array.sum()))


def test_threads_read_side_by_side(train):
    answers = []
    references = [f"{train}::images[{index % 4}]" for index in range(12)]
    workers = [threading.Thread(target=_sum, args=(ref, answers)) for ref in references]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    expected = [float(read_volume(ref).array.sum()) for ref in references]
    assert sorted(answers) == sorted(expected)


def _send_sum(reference, pipe):
    pipe.send([float(read_volume(reference).array.sum()) for _ in range(3)])


def test_a_forked_worker_opens_its_own_handle(train):
    reference = f"{train}::images[3]"
    expected = float(read_volume(reference).array.sum())
    mine, theirs = multiprocessing.Pipe()
    worker = multiprocessing.get_context("fork").Process(target=_send_sum, args=(reference, theirs))
    worker.start()
    assert mine.poll(20)
    assert mine.recv() == [expected] * 3
    worker.join(20)
    assert worker.exitcode == 0
    assert float(read_volume(reference).array.sum()) == expected
