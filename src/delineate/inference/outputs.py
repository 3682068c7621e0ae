"""What is written of a prediction, in which format, and where."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from delineate.errors import ConfigError
from delineate.inference.answer import Extras
from delineate.inference.cascade import Cascade
from delineate.inference.predict import Prediction, Predictor
from delineate.inference.probabilities import Probabilities
from delineate.inference.uncertainty import Uncertainty
from delineate.io import Volume, write_image, write_mask
from delineate.io.blocks import BLOCKWISE, Write, writing_blocks
from delineate.io.dicom_seg import check_series, write_dicom_seg, writing_fractions
from delineate.io.paths import DICOM, PICTURES, suffix_of
from delineate.io.write import WRITABLE
from delineate.labels import Labels

__all__ = ["FORMATS", "Outputs", "Places"]

FORMATS = (*WRITABLE, *DICOM)
"""Suffixes of masks."""
_PNG_ONE = 65535
"""A probability of 1 in a PNG, which holds 16 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Which files are wanted; folders stand in the folder of the masks."""

    suffix: str | None = None
    """Of the masks; None writes pictures as .png and everything else as .nii.gz."""
    probabilities: bool = False
    """Of every class, background first, in `probabilities/`: as .nii, .nrrd, .h5, .dcm (a
    fractional segmentation without background) or 16-bit .png (one per class), whichever the
    masks' format allows."""
    uncertainty: bool = False
    """From 0 to 1, in `entropy/` and, for ensembles, `disagreement/`: as the masks, but as .nii.gz
    beside .dcm."""

    def check(self, model: Predictor) -> None:
        """A ConfigError where the format cannot hold its masks, before anything is predicted."""
        if self.suffix is None:
            return
        if self.suffix not in FORMATS:
            raise ConfigError(
                f"'{self.suffix}' is not written. Can be written: {', '.join(FORMATS)}."
            )
        flat = self.suffix in PICTURES and self.suffix not in (".tif", ".tiff")
        if flat and _dims(model) == 3:
            raise ConfigError(
                f"'{self.suffix}' holds pictures, but the model draws volumes. "
                "Fix: write .nii.gz, .nrrd, .h5, .tif or .dcm."
            )
        if self.suffix in PICTURES and model.labels.overlapping:
            raise ConfigError(
                f"'{self.suffix}' holds one mask, but the classes overlap. "
                "Fix: write .nii.gz, .nrrd, .h5 or .dcm."
            )

    def extras(self, scratch: Path) -> Extras:
        """What the model must be asked for."""
        return Extras(
            probabilities=self.probabilities, uncertainty=self.uncertainty, scratch=scratch
        )

    def places(self, out: Path, case: str, scan: str, model: Predictor) -> "Places":
        """Where the files of one scan go; a scan of which no such file can be made: DataError."""
        suffix, labels = self.suffix or _usual_suffix(scan, model), model.labels
        if suffix in DICOM:
            check_series(scan)
        maps = ".nii.gz" if suffix in DICOM else suffix
        names = [leaf.name for leaf in labels.leaves]
        channels = names if labels.overlapping else ["background", *names]
        return Places(
            mask=out / f"{case}{suffix}",
            probabilities=(
                _probability_files(out / "probabilities" / case, suffix, channels)
                if self.probabilities
                else ()
            ),
            entropy=out / "entropy" / f"{case}{maps}" if self.uncertainty else None,
            disagreement=out / "disagreement" / f"{case}{maps}" if self.uncertainty else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The files of one scan."""

    mask: Path
    probabilities: tuple[Path, ...] = ()
    """One with all channels, or one .png per channel."""
    entropy: Path | None = None
    disagreement: Path | None = None
    """Is written only where a model has several members."""

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do; the mask is written last."""
        wanted = (self.mask, *self.probabilities, *([self.entropy] if self.entropy else []))
        return all(path.exists() for path in wanted)

    def write(self, prediction: Prediction, labels: Labels, scan: str) -> None:
        """Write all of it; `scan` is the file or folder that was predicted."""
        mask = prediction.mask
        if prediction.probabilities is not None:
            self._write_probabilities(prediction.probabilities, mask, labels, scan)
        if prediction.uncertainty is not None:
            self._write_maps(prediction.uncertainty, mask)
        if self.mask.exists():
            # A mask may have been mended by hand: only what is missing beside it was wanted.
            return
        if suffix_of(self.mask) in DICOM:
            array = mask.array if labels.overlapping else mask.array[0]
            write_dicom_seg(self.mask, array, mask, labels=labels, series=scan)
        else:
            write_mask(self.mask, mask.array, mask)

    def _write_probabilities(
        self, found: Probabilities, like: Volume, labels: Labels, scan: str
    ) -> None:
        first = self.probabilities[0]
        if suffix_of(first) == ".png":
            _write_pictures(self.probabilities, found, like)
            return
        with _writing(first, found.shape[0], like, labels, scan) as write:
            for rows, block in found.blocks():
                write(rows.start, block)

    def _write_maps(self, found: Uncertainty, like: Volume) -> None:
        for path, values in (
            (self.entropy, found.entropy),
            (self.disagreement, found.disagreement),
        ):
            if path is None or values is None:
                continue
            if suffix_of(path) == ".png":
                write_image(path, _sixteen_bits(values[None]), like)
            else:
                write_image(path, values[None], like)


def _writing(
    path: Path, channels: int, like: Volume, labels: Labels, scan: str
) -> AbstractContextManager[Write]:
    if suffix_of(path) in DICOM:
        return writing_fractions(path, like, labels=labels, series=scan)
    return writing_blocks(path, channels, like, name="probabilities")


def _write_pictures(paths: Sequence[Path], found: Probabilities, like: Volume) -> None:
    """A picture is small: its probabilities are taken at once."""
    whole = found.rows(slice(0, found.shape[1 + found.axis]))
    for path, channel in zip(paths, whole, strict=True):
        write_image(path, _sixteen_bits(channel[None]), like)


def _sixteen_bits(values: np.ndarray) -> np.ndarray:
    return np.rint(values.astype(np.float32) * _PNG_ONE).astype(np.uint16)


def _probability_files(stem: Path, suffix: str, channels: Sequence[str]) -> tuple[Path, ...]:
    if suffix == ".png":
        # A class may be called 'CSF/air'.
        names = ("".join(c if c.isalnum() or c in "-_ ." else "_" for c in n) for n in channels)
        return tuple(stem.with_name(f"{stem.name}_{name}.png") for name in names)
    kept = suffix if suffix in (*BLOCKWISE, *DICOM) else ".nii"
    return (stem.with_name(f"{stem.name}{kept}"),)


def _usual_suffix(scan: str, model: Predictor) -> str:
    picture = suffix_of(scan) in PICTURES and _dims(model) == 2
    return ".png" if picture and not model.labels.overlapping else ".nii.gz"


def _dims(model: Predictor) -> int:
    return model.stages[0].model.dims if isinstance(model, Cascade) else model.dims
