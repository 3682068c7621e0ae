"""A tiny CT series as a zip."""

import io
import zipfile

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CT = "1.2.840.10008.5.1.4.1.1.2"


def slice_of(pixels, *, index, series="1.2.3", **fields):
    """One axial slice of columns x rows, 2 mm apart, as bytes."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CT
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = CT, meta.MediaStorageSOPInstanceUID
    ds.SeriesInstanceUID, ds.StudyInstanceUID, ds.Modality = series, "1.2", "CT"
    ds.FrameOfReferenceUID = "1.2.4"
    ds.PatientName, ds.PatientID, ds.SeriesDescription = "Doe^Jane", "017", "thin"
    ds.Rows, ds.Columns = pixels.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation = 15, 0
    ds.PixelSpacing, ds.SliceThickness = [1.0, 1.0], 2.0
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.ImagePositionPatient = [0, 0, 2.0 * index]
    ds.PixelData = pixels.astype(np.uint16).tobytes()
    for name, value in fields.items():
        setattr(ds, name, value)
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def zipped(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def series_of(voxels, **fields):
    """(slices, rows, columns) as one zip, the names against the order of the slices."""
    count = len(voxels)
    return zipped(
        {f"DOE/IM{count - i}": slice_of(plane, index=i, **fields) for i, plane in enumerate(voxels)}
    )
