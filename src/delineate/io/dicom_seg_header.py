"""What stands around the frames of a DICOM-SEG: PS3.3 A.51, without the pixels.

Patient, study and frame of reference are copied from the series; everything else says what the
segments are and where each frame lies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np

from delineate import __version__

__all__ = ["Frame", "Segment", "Source", "header_of"]

_RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])
_COPIED = {
    "PatientName": "", "PatientID": "", "PatientBirthDate": "", "PatientSex": "",
    "StudyInstanceUID": None, "StudyDate": "", "StudyTime": "", "StudyID": "",
    "AccessionNumber": "", "ReferringPhysicianName": "", "FrameOfReferenceUID": None,
    "PositionReferenceIndicator": "",
}  # fmt: skip
"""Tags of the series that go into the segmentation, and what stands for a missing one."""
_OPTIONAL = ("PatientAge", "PatientSize", "PatientWeight", "StudyDescription", "BodyPartExamined")


class Segment(NamedTuple):
    """A class: its name, and the red, green and blue that it is shown in."""

    name: str
    colour: tuple[int, int, int] | None = None


class Frame(NamedTuple):
    """A plane of one segment."""

    segment: int
    """From 1."""
    slice: int
    """From 0, in the order of the series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The series that was segmented, slice by slice."""

    headers: Sequence[Any]
    """Of the file that holds each slice."""
    numbers: Sequence[int]
    """Of the slice among the frames of its file, from 1."""
    affine: np.ndarray
    """(4, 4) from columns, rows, slices to RAS+ mm."""
    size: tuple[int, int]
    """Rows, columns."""


def header_of(
    source: Source, segments: Sequence[Segment], frames: Sequence[Frame], *, fractional: bool
) -> Any:
    """The data set without its pixels."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SegmentationStorage, generate_uid

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = SegmentationStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.SOPClassUID = SegmentationStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
    _copy(source.headers[0], dataset)
    _describe(dataset, fractional=fractional)
    dataset.Rows, dataset.Columns = source.size
    dataset.SegmentSequence = [_segment(n, s) for n, s in enumerate(segments, 1)]
    dataset.NumberOfFrames = len(frames)
    organisation = generate_uid()
    dataset.DimensionOrganizationSequence = [_item(DimensionOrganizationUID=organisation)]
    dataset.DimensionIndexSequence = _dimensions(organisation)
    dataset.SharedFunctionalGroupsSequence = [_shared(source)]
    dataset.PerFrameFunctionalGroupsSequence = [_place(source, frame) for frame in frames]
    dataset.ReferencedSeriesSequence = [_references(source)]
    return dataset


def _copy(header: Any, dataset: Any) -> None:
    from pydicom.uid import generate_uid

    for name, default in _COPIED.items():
        value = header.get(name)
        if value is None:
            value = generate_uid() if default is None else default
        setattr(dataset, name, value)
    for name in _OPTIONAL:
        if name in header:
            setattr(dataset, name, header.get(name))
    if "SpecificCharacterSet" in header:
        dataset.SpecificCharacterSet = header.SpecificCharacterSet


def _describe(dataset: Any, *, fractional: bool) -> None:
    """Series, equipment and kind of the segmentation."""
    from pydicom.uid import generate_uid

    # DICOM's dates are those of the clock on the wall.
    moment = datetime.now()
    dataset.Modality = "SEG"
    dataset.SeriesInstanceUID = generate_uid()
    dataset.SeriesNumber = 1
    dataset.SeriesDescription = "delineate segmentation"
    dataset.InstanceNumber = 1
    dataset.Manufacturer = "delineate"
    dataset.ManufacturerModelName = "delineate"
    dataset.DeviceSerialNumber = "0"
    dataset.SoftwareVersions = __version__
    dataset.SeriesDate = dataset.ContentDate = moment.strftime("%Y%m%d")
    dataset.SeriesTime = dataset.ContentTime = moment.strftime("%H%M%S")
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.ContentLabel = "SEGMENTATION"
    dataset.ContentDescription = "Segmentation by a neural network"
    dataset.ContentCreatorName = ""
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelRepresentation = 0
    dataset.LossyImageCompression = "00"
    bits = 8 if fractional else 1
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.SegmentationType = "FRACTIONAL" if fractional else "BINARY"
    if fractional:
        dataset.SegmentationFractionalType = "PROBABILITY"
        dataset.MaximumFractionalValue = 255


def _segment(number: int, segment: Segment) -> Any:
    structure = {
        "CodeValue": "91723000",
        "CodingSchemeDesignator": "SCT",
        "CodeMeaning": "Anatomical Structure",
    }
    item = _item(
        SegmentNumber=number,
        SegmentLabel=segment.name[:64],
        SegmentAlgorithmType="AUTOMATIC",
        SegmentAlgorithmName="delineate",
        SegmentedPropertyCategoryCodeSequence=[_item(**structure)],
        SegmentedPropertyTypeCodeSequence=[_item(**structure)],
    )
    if segment.colour is not None:
        item.RecommendedDisplayCIELabValue = _cielab(segment.colour)
    return item


def _dimensions(organisation: str) -> list[Any]:
    """Frames are told apart by their segment, then by their place."""
    from pydicom.tag import Tag

    keywords = (
        ("SegmentIdentificationSequence", "ReferencedSegmentNumber"),
        ("PlanePositionSequence", "ImagePositionPatient"),
    )
    return [
        _item(
            DimensionOrganizationUID=organisation,
            DimensionIndexPointer=Tag(inner),
            FunctionalGroupPointer=Tag(outer),
            DimensionDescriptionLabel=inner,
        )
        for outer, inner in keywords
    ]


def _shared(source: Source) -> Any:
    """What holds for all frames: size of the pixels, orientation."""
    columns, rows, slices = (source.affine[:3, axis] * _RAS_TO_LPS for axis in range(3))
    along_row, along_column = columns / np.linalg.norm(columns), rows / np.linalg.norm(rows)
    # Across the planes: slices that drift sideways lie further apart than they are thick.
    gap = float(abs(np.cross(along_row, along_column) @ slices))
    return _item(
        PixelMeasuresSequence=[
            _item(
                PixelSpacing=[_short(float(np.linalg.norm(v))) for v in (rows, columns)],
                SliceThickness=_short(gap),
                SpacingBetweenSlices=_short(gap),
            )
        ],
        PlaneOrientationSequence=[
            _item(ImageOrientationPatient=[_short(v) for v in (*along_row, *along_column)])
        ],
    )


def _place(source: Source, frame: Frame) -> Any:
    """Which segment a frame is of, where it lies and which image it was drawn on."""
    position = (source.affine @ (0, 0, frame.slice, 1))[:3] * _RAS_TO_LPS
    image = _image(source, frame.slice)
    image.PurposeOfReferenceCodeSequence = [
        _code("121322", "Source image for image processing operation")
    ]
    return _item(
        FrameContentSequence=[_item(DimensionIndexValues=[frame.segment, frame.slice + 1])],
        PlanePositionSequence=[_item(ImagePositionPatient=[_short(v) for v in position])],
        SegmentIdentificationSequence=[_item(ReferencedSegmentNumber=frame.segment)],
        DerivationImageSequence=[
            _item(
                SourceImageSequence=[image],
                DerivationCodeSequence=[_code("113076", "Segmentation")],
            )
        ],
    )


def _references(source: Source) -> Any:
    """The series, and every file of it."""
    files = {header.SOPInstanceUID: header for header in source.headers}
    return _item(
        SeriesInstanceUID=source.headers[0].SeriesInstanceUID,
        ReferencedInstanceSequence=[
            _item(ReferencedSOPClassUID=header.SOPClassUID, ReferencedSOPInstanceUID=uid)
            for uid, header in files.items()
        ],
    )


def _image(source: Source, index: int) -> Any:
    header = source.headers[index]
    item = _item(
        ReferencedSOPClassUID=header.SOPClassUID, ReferencedSOPInstanceUID=header.SOPInstanceUID
    )
    if int(header.get("NumberOfFrames") or 1) > 1:
        item.ReferencedFrameNumber = source.numbers[index]
    return item


def _code(value: str, meaning: str) -> Any:
    return _item(CodeValue=value, CodingSchemeDesignator="DCM", CodeMeaning=meaning)


def _item(**values: Any) -> Any:
    from pydicom.dataset import Dataset

    item = Dataset()
    for name, value in values.items():
        setattr(item, name, value)
    return item


def _short(value: float) -> str:
    """A decimal string of at most 16 characters."""
    for digits in range(15, 5, -1):
        text = f"{float(value):.{digits}g}"
        if len(text) <= 16:
            return text
    return f"{float(value):.5e}"


def _cielab(colour: tuple[int, int, int]) -> list[int]:
    """CIELab as DICOM scales it, from sRGB under D65."""
    rgb = np.array(colour) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    matrix = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(matrix) @ linear / (0.9505, 1.0, 1.089)
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    lab = 116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])
    scaled = lab[0] / 100, (lab[1] + 128) / 255, (lab[2] + 128) / 255
    return [int(np.clip(round(value * 65535), 0, 65535)) for value in scaled]
