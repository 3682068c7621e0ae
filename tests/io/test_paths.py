import numpy as np
import pytest

from delineate.errors import DataError
from delineate.io import (
    SUFFIXES,
    Grid,
    Volume,
    atomic_path,
    is_image,
    read_header,
    read_mask,
    read_volume,
    stem,
    write_mask,
)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/case_1.nii.gz", "case_1"),
        ("sub-01.2_T1w.nii", "sub-01.2_T1w"),
        ("CASE.NII.GZ", "CASE"),
        ("scan.seg.nrrd", "scan.seg"),
        ("photo.v2.JPG", "photo.v2"),
        ("train.h5", "train"),
        ("train.h5::images[17]", "train_17"),
        ("train.h5::images", "train"),
        ("some.folder", "some.folder"),
        ("series::1.2.3", "series_1.2.3"),
    ],
)
def test_only_a_known_suffix_is_taken_off_a_name(path, name):
    assert stem(path) == name


def test_a_folder_keeps_its_whole_name(tmp_path):
    (tmp_path / "patient.nii").mkdir()
    assert stem(tmp_path / "patient.nii") == "patient.nii"


def test_images_are_known_by_suffix_and_hidden_files_are_none(tmp_path):
    for suffix in SUFFIXES:
        assert is_image(f"a{suffix}")
        assert is_image(f"a{suffix.upper()}")
    for name in ("dataset.json", "a.gz", "._a.nii.gz", "a.csv", "nii"):
        assert not is_image(name)
    assert not is_image(tmp_path)
    (tmp_path / "IM1").write_bytes(bytes(128) + b"DICM")
    assert is_image(tmp_path)


@pytest.mark.parametrize("read", [read_volume, read_mask, read_header])
@pytest.mark.parametrize("suffix", [s for s in SUFFIXES if s != ".dcm"])
def test_a_missing_file_suggests_the_nearest_name(tmp_path, read, suffix):
    (tmp_path / f"case_017{suffix}").touch()
    with pytest.raises(DataError) as error:
        read(tmp_path / f"case_17{suffix}")
    assert str(error.value) == (
        f"{tmp_path}/case_17{suffix}: no such file. Did you mean case_017{suffix}?"
    )


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError) as error:
        read_volume(tmp_path / "none" / "a.nii")
    assert str(error.value) == (
        f"{tmp_path}/none/a.nii: no such file: the folder {tmp_path}/none does not exist."
    )


def test_an_unknown_suffix_lists_what_can_be_read(tmp_path):
    (tmp_path / "a.docx").touch()
    with pytest.raises(DataError) as error:
        read_volume(tmp_path / "a.docx")
    assert str(error.value) == (
        f"{tmp_path}/a.docx: the kind of file is not known. Can be read: "
        ".nii.gz .nii .nrrd .nhdr .mha .mhd .h5 .hdf5 .png .jpg .jpeg .tif .tiff .bmp .dcm, "
        "and a folder with one DICOM series."
    )


def test_an_unknown_suffix_lists_what_can_be_written(tmp_path):
    grid = Grid(shape=(2, 3), affine=np.eye(4))
    like = Volume(array=np.zeros((1, 2, 3)), affine=np.eye(4), source=grid)
    with pytest.raises(DataError) as error:
        write_mask(tmp_path / "a.jpg", np.zeros((2, 3), int), like=like)
    assert str(error.value) == (
        f"{tmp_path}/a.jpg: this kind of file is not written. Can be written: "
        ".nii.gz .nii .nrrd .mha .png .tif .tiff .h5 .hdf5."
    )


def _write_half(final):
    with atomic_path(final) as part:
        assert part.name.endswith(".nii.gz")
        assert not is_image(part)
        part.write_text("half")
        raise RuntimeError("half way")


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    final = tmp_path / "new" / "a.nii.gz"
    with pytest.raises(RuntimeError, match="half way"):
        _write_half(final)
    assert list(final.parent.iterdir()) == []
    with atomic_path(final) as part:
        part.write_text("whole")
        assert not final.exists()
    assert final.read_text() == "whole"
    assert list(final.parent.iterdir()) == [final]
