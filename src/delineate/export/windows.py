"""Windows of a real scan, prepared as for prediction: what an export is compared on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from delineate.data import preprocess, read_case
from delineate.datasets import Case
from delineate.errors import DataError
from delineate.export.scores import window_shape
from delineate.inference.scans import find_scans
from delineate.package import find_runs, is_there, list_cases
from delineate.plan import Plan

__all__ = ["Sample", "first_scan", "noise_sample", "scan_sample"]

PLACES = (0.5, 0.25, 0.75)
"""Where along each axis, from the first possible window to the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Batches of one window and of several, so that the size of a batch is tried too."""

    batches: tuple[Tensor, ...]
    """Each (b, c, *window)."""
    source: str
    """What they are, for people; no name of a case."""


def scan_sample(paths: Sequence[str | Path], plan: Plan) -> Sample:
    """Windows of one scan, its channels in files of their own or in one."""
    scans = find_scans([Path(path) for path in paths], len(plan.channels))
    if len(scans) != 1:
        raise DataError(f"{len(scans)} scans are given to compare on. Fix: give the files of one.")
    case, files = scans[0]
    image = torch.from_numpy(preprocess(read_case(Case(id=case, images=files)), plan).array)
    windows = torch.stack([_window(image, plan, place) for place in PLACES])
    return Sample(batches=(windows[:1], windows), source="windows of a scan")


def noise_sample(plan: Plan) -> Sample:
    """Smooth seeded noise of about unit deviation, for want of a scan."""
    rng = torch.Generator().manual_seed(0)
    fine = torch.randn(window_shape(plan, len(PLACES)), generator=rng)
    pool = F.avg_pool2d if fine.dim() == 4 else F.avg_pool3d
    windows = fine + 3 * pool(fine, 3, stride=1, padding=1)
    return Sample(batches=(windows[:1], windows), source="noise, as no scan was given")


def first_scan(folder: Path) -> tuple[str, ...] | None:
    """The files of the first held-out case of a training, if they are still there."""
    if not folder.is_dir():
        return None
    cases = list_cases(find_runs([folder]), "validation")
    return next((case.images for case in cases if is_there(case)), None)


def _window(image: Tensor, plan: Plan, place: float) -> Tensor:
    """(c, *window); a scan that is smaller is padded with zeros, as in prediction."""
    sizes = list(zip(image.shape[1:], plan.patch, strict=True))
    sides = [(max(0, p - n) // 2, max(0, p - n) - max(0, p - n) // 2) for n, p in sizes]
    image = F.pad(image, [side for pair in reversed(sides) for side in pair])
    starts = [round(place * max(0, n - p)) for n, p in sizes]
    cut = image[(slice(None), *(slice(a, a + p) for a, (_, p) in zip(starts, sizes, strict=True)))]
    return cut if plan.slice_axis is None else cut.squeeze(1 + plan.slice_axis)
