import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from delineate.errors import DataError
from delineate.io import read_volume, to_source
from delineate.io.blocks import block_axis
from delineate.io.dicom_seg import write_dicom_seg, writing_fractions
from delineate.io.dicom_seg_header import _cielab, _short
from delineate.io.orient import canonical
from delineate.io.volume import Stored
from delineate.labels import Class, Labels

LABELS = Labels(classes=(Class(name="liver", id=5, colour=(255, 0, 0)), Class(name="cyst", id=2)))
LAYERS = Labels(classes=LABELS.classes, overlapping=True)
ROW, COLUMN = (0.8, 0.6, 0.0), (0.0, 0.0, -1.0)
NORMAL = np.cross(ROW, COLUMN)


def write_slice(path, pixels, position, study):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study
    ds.PatientName, ds.PatientID, ds.Modality = "Doe^Jane", "17", "CT"
    ds.Rows, ds.Columns = pixels.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation = 15, 0
    ds.ImagePositionPatient = [round(float(v), 6) for v in position]
    ds.ImageOrientationPatient = [*ROW, *COLUMN]
    ds.PixelSpacing, ds.SliceThickness = [0.7, 0.5], 2.5
    ds.PixelData = pixels.tobytes()
    ds.save_as(path, enforce_file_format=True)


@pytest.fixture
def series(tmp_path):
    """Six slices of 5 rows and 3 columns, so that no frame ends with a byte."""
    folder = tmp_path / "series"
    folder.mkdir()
    study = [generate_uid() for _ in range(3)]
    pixels = np.random.default_rng(5).integers(0, 2000, (6, 5, 3)).astype(np.uint16)
    for index, plane in enumerate(pixels):
        position = np.array([10.0, -20, 30]) + NORMAL * 2.5 * index
        write_slice(folder / f"IM{9 - index}.dcm", plane, position, study)
    return folder


def planes(ds):
    """(segment, place along the normal) to (rows, columns), as any reader would find them."""
    frames = ds.pixel_array.reshape(-1, ds.Rows, ds.Columns)
    found = {}
    for frame, group in zip(frames, ds.PerFrameFunctionalGroupsSequence, strict=True):
        position = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        index = round(float(NORMAL @ (position - (10, -20, 30))) / 2.5)
        np.testing.assert_allclose(position, (10, -20, 30) + NORMAL * 2.5 * index, atol=1e-4)
        segment = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        found[segment, index] = frame
    return found


def layers_of(ds, number):
    found = np.zeros((number, 6, ds.Rows, ds.Columns), np.uint8)
    for (segment, index), frame in planes(ds).items():
        found[segment - 1, index] = frame
    return found


def random_mask(like):
    """Nothing on slice 3 of the file."""
    stored = np.random.default_rng(2).choice([0, 0, 5, 2], like.source.shape).astype(np.uint8)
    stored[:, :, 3] = 0
    return canonical(Stored(array=stored[None], grid=like.source)).array[0]


def test_segments_lie_where_the_mask_does(series, tmp_path):
    like = read_volume(series)
    mask = random_mask(like)
    path = tmp_path / "seg.dcm"
    write_dicom_seg(path, mask, like, labels=LABELS, series=str(series))
    ds = pydicom.dcmread(path)
    own = to_source(mask, like).transpose(2, 1, 0)
    found = layers_of(ds, 2)
    np.testing.assert_array_equal(found[0], own == 5)
    np.testing.assert_array_equal(found[1], own == 2)
    # Slice 3 is empty, so it has no frames.
    assert ds.NumberOfFrames == 10
    assert ds.SegmentationType == "BINARY"
    assert [s.SegmentLabel for s in ds.SegmentSequence] == ["liver", "cyst"]
    assert len(ds.SegmentSequence[0].RecommendedDisplayCIELabValue) == 3
    assert "RecommendedDisplayCIELabValue" not in ds.SegmentSequence[1]


def test_it_belongs_to_the_patient_and_refers_to_the_images(series, tmp_path):
    like = read_volume(series)
    path = tmp_path / "seg.dcm"
    write_dicom_seg(path, random_mask(like), like, labels=LABELS, series=str(series))
    ds = pydicom.dcmread(path)
    images = [pydicom.dcmread(file) for file in sorted(series.iterdir(), reverse=True)]
    for name in ("PatientName", "PatientID", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert ds[name].value == images[0][name].value
    assert ds.SeriesInstanceUID != images[0].SeriesInstanceUID
    (reference,) = ds.ReferencedSeriesSequence
    assert reference.SeriesInstanceUID == images[0].SeriesInstanceUID
    listed = [i.ReferencedSOPInstanceUID for i in reference.ReferencedInstanceSequence]
    assert listed == [image.SOPInstanceUID for image in images]
    for group in ds.PerFrameFunctionalGroupsSequence:
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        image = images[listed.index(source.ReferencedSOPInstanceUID)]
        position = group.PlanePositionSequence[0].ImagePositionPatient
        np.testing.assert_allclose(position, image.ImagePositionPatient, atol=1e-4)
    shared = ds.SharedFunctionalGroupsSequence[0]
    measures = shared.PixelMeasuresSequence[0]
    assert [*measures.PixelSpacing, measures.SpacingBetweenSlices] == [0.7, 0.5, 2.5]


def test_overlapping_classes_overlap_in_the_file(series, tmp_path):
    like = read_volume(series)
    mask = np.random.default_rng(0).integers(0, 2, (2, *like.shape)).astype(np.uint8)
    write_dicom_seg(tmp_path / "s.dcm", mask, like, labels=LAYERS, series=str(series))
    found = layers_of(pydicom.dcmread(tmp_path / "s.dcm"), 2)
    np.testing.assert_array_equal(found, to_source(mask, like).transpose(0, 3, 2, 1))


def test_an_empty_mask_is_a_file_with_one_empty_frame(series, tmp_path):
    like = read_volume(series)
    empty = np.zeros(like.shape, np.uint8)
    write_dicom_seg(tmp_path / "s.dcm", empty, like, labels=LABELS, series=str(series))
    ds = pydicom.dcmread(tmp_path / "s.dcm")
    assert ds.NumberOfFrames == 1
    assert not ds.pixel_array.any()


def test_probabilities_are_fractions_of_255_without_background(series, tmp_path):
    like = read_volume(series)
    shares = np.random.default_rng(0).random((3, *like.shape), np.float32)
    path = tmp_path / "p.dcm"
    with writing_fractions(path, like, labels=LABELS, series=str(series)) as write:
        axis = 1 + block_axis(like)
        for start in range(0, shares.shape[axis], 4):
            write(start, shares[(slice(None),) * axis + (slice(start, start + 4),)])
    ds = pydicom.dcmread(path)
    assert (ds.SegmentationType, ds.SegmentationFractionalType) == ("FRACTIONAL", "PROBABILITY")
    found = layers_of(ds, 2) / ds.MaximumFractionalValue
    own = to_source(shares, like).transpose(0, 3, 2, 1)
    np.testing.assert_allclose(found, own[1:], atol=0.5 / 255 + 1e-6)


def test_a_scan_that_is_no_dicom_series_is_refused(series, tmp_path):
    like = read_volume(series)
    mask = np.zeros(like.shape, np.uint8)
    with pytest.raises(DataError, match=r"scan.nii.gz: a DICOM-SEG refers to the DICOM images"):
        write_dicom_seg(tmp_path / "s.dcm", mask, like, labels=LABELS, series="scan.nii.gz")


@pytest.mark.parametrize("value", [1 / 3, -1 / 3, 1e-17 / 3, -123456789.123456789, 0.5, 0])
def test_a_decimal_string_has_at_most_16_characters(value):
    assert len(_short(value)) <= 16
    assert float(_short(value)) == pytest.approx(value, rel=1e-8)


def test_white_and_black_are_the_ends_of_cielab():
    assert _cielab((255, 255, 255))[0] == pytest.approx(65535, abs=20)
    assert _cielab((0, 0, 0))[0] == 0
    assert _cielab((0, 0, 0))[1] == pytest.approx(128 / 255 * 65535, abs=1)
