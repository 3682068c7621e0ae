"""Uploads are known by their bytes, and headers that point elsewhere are refused."""

import numpy as np
import pytest
import SimpleITK
from PIL import Image
from thresholds import levels, save

from delineate.serve.kinds import recognise, refuse_detached
from delineate.serve.refusal import Refusal


def written(path, writer):
    writer(path)
    return path.rename(path.with_name("upload"))


def itk(path):
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(levels((3, 4, 5))), str(path))


def picture(path):
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(path)


@pytest.mark.parametrize(
    ("suffix", "writer"),
    [
        (".nii", lambda path: save(path, levels((3, 4, 5)))),
        (".gz", lambda path: save(path.with_suffix(".nii.gz"), levels((3, 4, 5))).rename(path)),
        (".nrrd", itk),
        (".mha", itk),
        (".png", picture),
        (".jpg", picture),
        (".tif", picture),
    ],
)
def test_a_file_is_known_without_its_name(tmp_path, suffix, writer):
    path = written(tmp_path / f"x{suffix}", writer)
    assert recognise(path) == suffix
    refuse_detached(path, suffix)


@pytest.mark.parametrize(
    ("data", "message"), [(b"", "the upload is empty."), (b"#!/bin/sh\n", "of no kind")]
)
def test_what_is_no_image_is_a_415_that_says_what_can_be_sent(tmp_path, data, message):
    path = tmp_path / "upload"
    path.write_bytes(data)
    with pytest.raises(Refusal, match=message) as caught:
        recognise(path)
    assert caught.value.status == 415
    assert "NIfTI" in caught.value.fix


NRRD = b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 2 2\nencoding: raw\n"
MHA = b"ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\n"


@pytest.mark.parametrize(
    ("suffix", "header"),
    [
        (".nrrd", NRRD + b"data file: /etc/passwd\n\n"),
        (".nrrd", NRRD + b"DataFile: LIST\n/etc/passwd\n"),
        (".nrrd", NRRD + b"datafile: ../secret\n\n12345678"),
        (".nrrd", NRRD + b"data   file: x\n\n12345678"),
        (".nrrd", NRRD),
        (".nrrd", NRRD + b"# " + b"x" * (1 << 20) + b"\ndata file: /etc/passwd\n\n"),
        (".mha", MHA + b"ElementDataFile = /etc/passwd\n"),
        (".mha", MHA + b"ElementDataFile = LIST\n/etc/passwd\n"),
        (".mha", MHA + b"elementdatafile: ../secret\n"),
        (".mha", MHA + b"Comment = ElementDataFile = LOCAL\nElementDataFile = /etc/passwd\n"),
        (".mha", MHA + b"ElementDataFile = LOCAL\nElementDataFile = /etc/passwd\n"),
        (".mha", MHA),
    ],
)
def test_a_header_that_names_another_file_is_refused(tmp_path, suffix, header):
    path = tmp_path / "upload"
    path.write_bytes(header)
    with pytest.raises(Refusal, match="it names another file") as caught:
        refuse_detached(path, suffix)
    assert caught.value.status == 400


def test_a_header_with_its_voxels_is_none_of_these(tmp_path):
    for suffix, data in (
        (".nrrd", NRRD + b"\n12345678"),
        (".nrrd", NRRD.replace(b"\n", b"\r\n") + b"\r\n12345678"),
        (".mha", MHA + b"ElementDataFile = LOCAL\n12345678"),
    ):
        path = tmp_path / "upload"
        path.write_bytes(data)
        refuse_detached(path, suffix)
