"""Masks of scans on the scans' own grids: read, preprocess, predict window by window, go back."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from delineate.data import preprocess, read_case, restore
from delineate.datasets import Case
from delineate.errors import DelineateError
from delineate.inference.scans import Scan
from delineate.inference.sliding import Windows, predict_logits
from delineate.io import Volume, write_mask
from delineate.io.paths import PICTURES, suffix_of
from delineate.plan import Plan

__all__ = ["Failure", "predict_case", "predict_cases", "windows_of"]

Progress = Callable[..., Iterable]


@dataclass(frozen=True, slots=True)
class Failure:
    """A scan without a mask, and why."""

    case: str
    message: str

    def __str__(self) -> str:
        return f"{self.case}: {self.message}"


def windows_of(plan: Plan, *, overlap: float = 0.5, flips: tuple[int, ...] = ()) -> Windows:
    """The cut that a plan asks for; `flips` are the axes along which mirror images are averaged."""
    return Windows(
        patch=plan.patch,
        overlap=overlap,
        batch=plan.batch_size,
        slice_axis=plan.slice_axis,
        flips=flips,
        mirror=plan.labels.mirror,
        mirror_axis=plan.left_right,
    )


def predict_case(
    network: nn.Module,
    plan: Plan,
    paths: Sequence[str | Path],
    *,
    overlap: float = 0.5,
    flips: tuple[int, ...] = (),
    device: torch.device | str = "cpu",
) -> Volume:
    """The mask of one scan, in canonical axes on its own grid: (1, *s) ids, or (k, *s) 0/1.

    The network must be in evaluation mode on `device`; `write_mask(path, mask.array, mask)` puts
    the result into the file's own axes.
    """
    volume = read_case(Case(id=str(paths[0]), images=tuple(str(p) for p in paths)))
    prepared = preprocess(volume, plan)
    logits = predict_logits(
        network,
        torch.from_numpy(prepared.array),
        windows_of(plan, overlap=overlap, flips=flips),
        channels=plan.labels.channels,
        device=device,
    )
    threshold = 0.0 if plan.labels.overlapping else None
    mask = plan.labels.decode(restore(logits.cpu().numpy(), prepared, threshold=threshold))
    return replace(volume, array=mask if plan.labels.overlapping else mask[None])


def predict_cases(
    network: nn.Module,
    plan: Plan,
    cases: Iterable[Scan],
    out: Path,
    *,
    suffix: str | None = None,
    overlap: float = 0.5,
    flips: tuple[int, ...] = (),
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> tuple[Failure, ...]:
    """Write `<id><suffix>` for every scan; what went wrong is returned, and the rest is done.

    A mask that exists already is kept: a rerun does what is missing. Masks appear complete or not
    at all. The network is moved to `device` and put in evaluation mode.

    Args:
        cases: Ids and files, as `find_scans` gives them.
        out: The folder of the masks; made if need be.
        suffix: None writes pictures as .png and everything else as .nii.gz.
    """
    network = network.to(device).eval()
    scans = list(cases)
    failures: list[Failure] = []
    for case, paths in progress(scans, len(scans), "predicting") if progress else scans:
        target = out / f"{case}{suffix or _suffix(paths[0], plan)}"
        if target.exists():
            continue
        try:
            mask = predict_case(network, plan, paths, overlap=overlap, flips=flips, device=device)
            write_mask(target, mask.array, mask)
        except Exception as error:  # whatever befalls one scan, the others are still wanted
            failures.append(Failure(case, _explain(error)))
    return tuple(failures)


def _suffix(path: str | Path, plan: Plan) -> str:
    picture = suffix_of(path) in PICTURES and len(plan.patch) == 2
    return ".png" if picture and not plan.labels.overlapping else ".nii.gz"


def _explain(error: Exception) -> str:
    if isinstance(error, DelineateError):
        return str(error)
    return f"{type(error).__name__}: {error}"
