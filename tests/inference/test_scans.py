from pathlib import Path

import h5py
import numpy as np
import pytest

from delineate.errors import DataError
from delineate.inference import find_scans


def touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")
    return folder


def names(scans):
    return [(case, tuple(Path(p).name for p in paths)) for case, paths in scans]


def test_a_folder_stands_for_its_images_and_a_file_for_itself(tmp_path):
    folder = touch(tmp_path / "in", "b.nii.gz", "a.nii", "notes.txt", "._a.nii")
    single = touch(tmp_path, "c.nrrd") / "c.nrrd"
    assert names(find_scans([folder, single], 1)) == [
        ("a", ("a.nii",)),
        ("b", ("b.nii.gz",)),
        ("c", ("c.nrrd",)),
    ]


def test_numbered_files_are_the_channels_of_one_scan(tmp_path):
    files = [f"{case}_000{i}.nii.gz" for case in ("x", "y") for i in (1, 0)]
    scans = find_scans([touch(tmp_path, *files)], 2)
    assert names(scans) == [
        ("x", ("x_0000.nii.gz", "x_0001.nii.gz")),
        ("y", ("y_0000.nii.gz", "y_0001.nii.gz")),
    ]


def test_each_item_of_an_hdf5_file_is_a_scan_named_as_in_its_data_set(tmp_path):
    with h5py.File(tmp_path / "test.h5", "w") as file:
        file["images"] = np.zeros((2, 4, 4, 4), np.float32)
    assert find_scans([tmp_path / "test.h5"], 1) == [
        ("test_00000", (f"{tmp_path}/test.h5::images[0]",)),
        ("test_00001", (f"{tmp_path}/test.h5::images[1]",)),
    ]


def test_with_one_channel_only_names_that_all_end_in_0000_are_numbered(tmp_path):
    plain = touch(tmp_path / "plain", "scan_0000.nii", "scan_0001.nii")
    numbered = touch(tmp_path / "numbered", "a_0000.nii", "b_0000.nii")
    assert [case for case, _ in find_scans([plain], 1)] == ["scan_0000", "scan_0001"]
    assert [case for case, _ in find_scans([numbered], 1)] == ["a", "b"]


def test_one_file_may_hold_all_channels(tmp_path):
    scans = find_scans([touch(tmp_path, "a.nii", "b_0000.nii", "b_0001.nii")], 2)
    assert names(scans) == [("a", ("a.nii",)), ("b", ("b_0000.nii", "b_0001.nii"))]


def test_a_wrong_number_of_channels_names_the_scan(tmp_path):
    folder = touch(tmp_path, "a_0000.nii", "a_0002.nii")
    with pytest.raises(
        DataError, match=r"a: the model needs 3 channels, .*but there are 0000, 0002"
    ):
        find_scans([folder], 3)


def test_a_folder_stands_for_the_images_below_it_too(tmp_path):
    touch(tmp_path, "a.nii")
    touch(tmp_path / "site" / "patient", "T1.nii.gz")
    touch(tmp_path / ".hidden", "b.nii")
    scans = find_scans([tmp_path], 1)
    assert names(scans) == [("a", ("a.nii",)), ("site/patient/T1", ("T1.nii.gz",))]


def test_the_channels_of_a_scan_lie_in_one_folder(tmp_path):
    for site in "xy":
        touch(tmp_path / site, "a_0000.nii", "a_0001.nii")
    assert [case for case, _ in find_scans([tmp_path], 2)] == ["x/a", "y/a"]


def test_scans_of_one_name_from_two_inputs_are_told_apart_by_their_folders(tmp_path):
    folders = [touch(tmp_path / side, "a.nii") for side in ("left", "right")]
    assert [case for case, _ in find_scans(folders, 1)] == ["left/a", "right/a"]
    files = [folder / "a.nii" for folder in folders]
    assert [case for case, _ in find_scans(files, 1)] == ["left/a", "right/a"]


def test_two_files_of_one_name_in_one_folder_are_refused(tmp_path):
    folder = touch(tmp_path, "a.nii", "a.nii.gz")
    with pytest.raises(DataError, match=r"a: .*a\.nii and .*a\.nii\.gz would be the same scan"):
        find_scans([folder], 1)


def test_masks_of_an_earlier_prediction_are_no_scans(tmp_path):
    touch(tmp_path, "a.nii")
    touch(tmp_path / "masks", "a.nii.gz", "prediction.json")
    assert names(find_scans([tmp_path], 1)) == [("a", ("a.nii",))]


def test_a_dicom_folder_is_one_scan(tmp_path):
    series = touch(tmp_path / "in" / "patient")
    (series / "IM0").write_bytes(bytes(128) + b"DICM")
    touch(tmp_path / "in", "other.nii")
    assert names(find_scans([tmp_path / "in"], 1)) == [
        ("other", ("other.nii",)),
        ("patient", ("patient",)),
    ]
    assert names(find_scans([series], 1)) == [("patient", ("patient",))]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone.nii", "gone.nii: no such file"),
        ("gone", "gone: no such file or folder"),
        ("notes.txt", "notes.txt: not an image that can be read"),
        ("empty", "empty: no images here"),
    ],
)
def test_what_is_no_scan_is_named(tmp_path, name, message):
    touch(tmp_path, "notes.txt")
    touch(tmp_path / "empty")
    with pytest.raises(DataError, match=message):
        find_scans([tmp_path / name], 1)
