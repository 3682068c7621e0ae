"""The masks of many scans in a folder: one bad scan is reported and the rest is done."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from delineate.errors import DelineateError
from delineate.inference.made_by import claim_folder
from delineate.inference.outputs import Outputs
from delineate.inference.predict import Predictor, predict_case
from delineate.inference.scans import Scan
from delineate.inference.volume_table import VolumeTable
from delineate.io import Volume, read_mask
from delineate.io.paths import DICOM, suffix_of

__all__ = ["Failure", "predict_cases"]

TABLE = "volumes.csv"

log = logging.getLogger("delineate")


@dataclass(frozen=True, slots=True)
class Failure:
    """A scan without a mask, and why."""

    case: str
    message: str

    def __str__(self) -> str:
        return f"{self.case}: {self.message}"


def predict_cases(
    model: Predictor,
    cases: Iterable[Scan],
    out: Path,
    *,
    outputs: Outputs | None = None,
    memory_gb: float | None = None,
    device: torch.device | str = "cpu",
) -> tuple[Failure, ...]:
    """Write `<id><suffix>` for every scan; what went wrong is returned, and the rest is done.

    A mask that exists already is kept: a rerun does what is missing. Files appear complete or not
    at all. Beside the masks lie `volumes.csv` and what made them, `prediction.json`: a folder that
    holds another model's masks is a DataError. Ways in which a scan leaves the domain of the
    training scans are logged as warnings.

    Args:
        model: Its networks are moved to `device` and put in evaluation mode.
        cases: Ids and files, as `find_scans` gives them. To show progress, wrap them in a bar.
        out: The folder of the masks; made if need be.
        outputs: Format, and files beside the masks; None writes masks only, as .png or .nii.gz.
        memory_gb: What the process may hold at its peak; None is most of what is free.
        device: Where windows are predicted.
    """
    outputs = outputs or Outputs()
    outputs.check(model)
    claim_folder(out, model)
    maker = _Maker(model, out, outputs, memory_gb, device, VolumeTable(out / TABLE, model.labels))
    failures: list[Failure] = []
    for case, paths in cases:
        try:
            maker.make(case, paths)
        except Exception as error:  # whatever befalls one scan, the others are still wanted
            failures.append(Failure(case, _explain(error)))
    return tuple(failures)


@dataclass(frozen=True, slots=True)
class _Maker:
    """What all scans share."""

    model: Predictor
    out: Path
    outputs: Outputs
    memory_gb: float | None
    device: torch.device | str
    table: VolumeTable

    def make(self, case: str, paths: tuple[str, ...]) -> None:
        """Predict a scan, unless it is done, and note its volumes."""
        places = self.outputs.places(self.out, case, paths[0], self.model)
        kept, mask = places.mask.exists(), None
        if not places.complete:
            found = predict_case(
                self.model,
                paths,
                memory_gb=self.memory_gb,
                device=self.device,
                extras=self.outputs.extras(scratch=self.out),
            )
            for warning in found.warnings:
                log.warning("%s: %s", case, warning)
            places.write(found, self.model.labels, paths[0])
            mask = found.mask
        if case in self.table.cases:
            return
        if kept:
            mask = _read_kept(places.mask)
        if mask is not None:
            self.table.add(case, mask)


def _read_kept(path: Path) -> Volume | None:
    """A mask that was there already; the segments of a DICOM-SEG are not read back."""
    return None if suffix_of(path) in DICOM else read_mask(path)


def _explain(error: Exception) -> str:
    if isinstance(error, DelineateError):
        return str(error)
    return f"{type(error).__name__}: {error}"
