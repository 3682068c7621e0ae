"""Series of slices in every form, and networks that read their answer off the pixels."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from delineate.systems.spine.cascade.settings import CascadeSettings
from delineate.systems.spine.cascade.weights_folder import Networks, OpenGate
from delineate.systems.spine.prediction.answers import Answerer

GATES = ("anatomy", "location_view", "sequence", "spinal_cord")
SPINE = (145, 2, 3, 1)
"""What a series is that goes through: a class of each gate, as the defaults keep them."""
CORD_GREY, LESION_GREY = 120, 240
OBLIQUE = np.array([[0.0, 0.1, 3.3], [-0.8, 0.1, 0.2], [0.1, 0.9, -0.2]])
"""Columns of an affine: axes run towards posterior, superior, right, and slightly askew."""


def coded(codes: tuple[int, ...] = SPINE, *, size: tuple[int, int] = (24, 32)) -> np.ndarray:
    """A slice whose first pixels are its classes, with a cord and a lesion half outside it."""
    picture = np.zeros(size, np.uint8)
    picture[0, : len(codes)] = codes
    picture[4:20, 10:16] = CORD_GREY
    picture[8:12, 13:19] = LESION_GREY
    return picture


def volume_of(pictures: list[np.ndarray]) -> np.ndarray:
    """Sagittal slices as a canonical array (right, anterior, superior), by the plain rules."""
    found = np.zeros((len(pictures), *pictures[0].shape[::-1]), pictures[0].dtype)
    rows, columns = pictures[0].shape
    for number, picture in enumerate(pictures):
        for row in range(rows):
            for column in range(columns):
                # Anterior is on the left, superior on top.
                found[number, columns - 1 - column, rows - 1 - row] = picture[row, column]
    return found


def write_pictures(folder: Path, pictures: list[np.ndarray]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"slice_{number + 1}.png")
    return folder


def write_nifti(path: Path, canonical: np.ndarray) -> Path:
    """Saved on axes of its own: posterior, superior, right; oblique, with a shifted origin."""
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.eye(4)
    affine[:3, :3] = OBLIQUE
    affine[:3, 3] = (12.0, -30.0, 7.0)
    stored = canonical.transpose(1, 2, 0)[::-1]
    nib.save(nib.Nifti1Image(np.ascontiguousarray(stored), affine), path)
    return path


def write_dicom(folder: Path, pictures: list[np.ndarray], *, series: str = "1.2.3.7") -> Path:
    """Sagittal slices as a scanner stores them, 3 mm apart, named against their order."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    for index, pixels in enumerate(pictures):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = MRImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        ds.SOPClassUID, ds.SOPInstanceUID = MRImageStorage, meta.MediaStorageSOPInstanceUID
        ds.SeriesInstanceUID, ds.StudyInstanceUID, ds.Modality = series, "1.2.3", "MR"
        ds.FrameOfReferenceUID, ds.PatientID, ds.PatientName = "1.2.5", "17", "Doe^Jane"
        ds.Rows, ds.Columns = pixels.shape
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated = ds.BitsStored = 8
        ds.HighBit, ds.PixelRepresentation = 7, 0
        # Rows run to posterior, columns downwards, slices from the patient's left to the right.
        ds.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
        ds.ImagePositionPatient = [40.0 - 3.0 * index, -50.0, 60.0]
        ds.PixelSpacing, ds.SliceThickness = [0.9, 0.8], 3.0
        ds.PixelData = pixels.tobytes()
        ds.save_as(folder / f"IM{len(pictures) - index:03d}", enforce_file_format=True)
    return folder


@dataclass
class Halved:
    """A picture at half its size, by every second pixel, and back by doubling them."""

    picture: np.ndarray
    shape: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        self.shape = (self.picture.shape[0], self.picture.shape[1])

    @property
    def image(self) -> Tensor:
        return torch.from_numpy(self.picture.astype(np.float32))[None, None]

    def restore(self, values: np.ndarray) -> np.ndarray:
        rows, columns = self.shape
        return values.repeat(2, 1).repeat(2, 2)[:, :rows, :columns]


class Whole(Halved):
    """A picture as it is."""

    def restore(self, values: np.ndarray) -> np.ndarray:
        return values


def trained(task: str, classes: tuple[str, ...], answer: Callable[[Tensor], Tensor]) -> Any:
    return SimpleNamespace(
        module=nn.Identity(), experiment=None, classes=classes, task=task, predict=answer
    )


def classifier(place: int, classes: int) -> Answerer:
    """Says what stands in the pixel of the first row at that place, with 0.9."""

    def answer(images: Tensor) -> Tensor:
        chosen = images[:, 0, 0, place].long()
        rest = 0.1 / (classes - 1)
        found = torch.full((len(images), classes), rest)
        return found.scatter(1, chosen[:, None], 0.9)

    names = tuple(f"class_{number}" for number in range(classes))
    return Answerer(trained=trained("classification", names, answer), prepare=Whole, batch=3)


def drawer(least: int) -> Answerer:
    """Draws what is at least as bright."""
    found = trained("segmentation", ("foreground",), lambda images: (images >= least).float())
    return Answerer(trained=found, prepare=Whole, batch=3)


def networks(settings: CascadeSettings, *, cord: bool = True) -> Networks:
    """Of all stages of the defaults."""
    gates = tuple(
        OpenGate(
            gate=gate,
            answerer=classifier(place, classes),
            keep=tuple(int(number) for number in gate.keep),
        )
        for place, (gate, classes) in enumerate(zip(settings.gates, (165, 4, 10, 2), strict=True))
    )
    return Networks(
        gates=gates,
        cord=drawer(CORD_GREY) if cord else None,
        lesion=drawer(LESION_GREY),
        files={},
    )
