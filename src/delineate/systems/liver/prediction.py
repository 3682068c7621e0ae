"""Masks of a folder of scans by a trained network, each on its scan's own grid.

The images of a preprocessed tree (`<id>_image.nii.gz`) are predicted as they are; its metadata say
on which grid the scan was. Any other NIfTI files are raw scans: they are prepared as the training
scans of the network were.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from delineate.errors import DataError, DelineateError
from delineate.geometry import Box
from delineate.inference.probabilities import to_probabilities
from delineate.io import Volume, read_volume, stem, write_image, write_mask
from delineate.io.paths import NIFTI
from delineate.systems.liver.grid import Grid
from delineate.systems.liver.prediction_folder import claim
from delineate.systems.liver.preprocessing import prepare_volume
from delineate.systems.liver.scan_mask import draw_mask
from delineate.systems.liver.settings import ModelPredictionConfig
from delineate.systems.liver.subjects import find_pairs, read_metadata
from delineate.systems.liver.trained import TrainedNetwork, load_trained

__all__ = ["Scan", "find_scans", "predict_folder"]

log = logging.getLogger("delineate")

MASK, PROBABILITIES, LOGITS = "_pred.nii.gz", "_prob.nii.gz", "_logits.nii.gz"
"""What the names of the files end in."""

Progress = Callable[[Sequence["Scan"]], Iterable["Scan"]]
"""Hands the scans on and shows how many are done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """One scan to predict."""

    id: str
    path: Path
    raw: bool
    """Whether it is to be prepared first."""
    grid: Grid | None = None
    """The way from a prepared image to its scan; None where nobody noted it."""


class _Image(NamedTuple):
    """What the network is given, and where its mask goes."""

    array: np.ndarray
    """(1, *s) float32."""
    box: Box
    """What of it is the scan; the rest is padding."""
    like: Volume
    """The grid of the mask."""


def predict_folder(config: ModelPredictionConfig, progress: Progress = iter) -> dict[str, str]:
    """Predict every scan of `config.input_dir`; why some could not be, by their ids.

    Written are `<id>_pred.nii.gz` (ids in 8 bits) and, if asked for, `<id>_prob.nii.gz` and
    `<id>_logits.nii.gz` (float32, channels along the fourth axis). What is there already is kept.
    """
    config.check()
    scans = find_scans(Path(config.input_dir))
    trained = load_trained(config)
    device = _device(config)
    trained.network.to(device)
    out = Path(config.output_dir)
    claim(out, {"checkpoint": trained.checksum, "labels": list(trained.ids)})
    waiting = [scan for scan in scans if not _complete(out, scan, config)]
    if len(waiting) < len(scans):
        log.info("%d of %d are predicted already.", len(scans) - len(waiting), len(scans))
    failures: dict[str, str] = {}
    read = _reading_ahead(waiting, trained, config.num_workers)
    for scan, image in zip(progress(waiting), read, strict=True):
        try:
            _write(out, scan, image.result(), trained, config, device)
        except Exception as error:  # whatever befalls one scan, the others are still wanted
            plain = isinstance(error, DelineateError)
            failures[scan.id] = str(error) if plain else f"{type(error).__name__}: {error}"
    return failures


def find_scans(folder: Path) -> tuple[Scan, ...]:
    """The images of a split of a preprocessed tree, or else all NIfTI files of a folder."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder. Fix: give the folder of the scans.")
    if pairs := find_pairs(folder):
        known = read_metadata(folder)
        grids = {name: subject.grid for name, subject in known.items()}
        return tuple(
            Scan(id=pair.id, path=pair.image, raw=False, grid=grids.get(pair.id)) for pair in pairs
        )
    files = [p for p in sorted(folder.iterdir()) if p.name.lower().endswith(NIFTI)]
    found: dict[str, Scan] = {}
    for path in (p for p in files if not p.name.startswith(".")):
        scan = Scan(id=stem(path), path=path, raw=True)
        if scan.id in found:
            raise DataError(f"{folder}: {found[scan.id].path.name} and {path.name} are one scan.")
        found[scan.id] = scan
    if not found:
        raise DataError(f"{folder}: no scans here. Fix: a folder of .nii or .nii.gz files.")
    return tuple(found.values())


def _device(config: ModelPredictionConfig) -> str:
    """The wished one, or the processor where there is no card."""
    if config.gpus == 0 or config.device == "cpu":
        return "cpu"
    if not torch.cuda.is_available():
        if config.device != "auto":
            log.info("There is no CUDA card here: the processor predicts.")
        return "cpu"
    if config.gpus > 1:
        log.info("Predicting takes one card, not %d.", config.gpus)
    return "cuda" if config.device == "auto" else config.device


def _wanted(out: Path, scan: Scan, config: ModelPredictionConfig) -> dict[str, Path]:
    """The files of a scan, the mask last."""
    asked = {PROBABILITIES: config.save_probabilities, LOGITS: config.save_logits, MASK: True}
    return {end: out / f"{scan.id}{end}" for end, wanted in asked.items() if wanted}


def _complete(out: Path, scan: Scan, config: ModelPredictionConfig) -> bool:
    return all(path.exists() for path in _wanted(out, scan, config).values())


def _reading_ahead(
    scans: Sequence[Scan], trained: TrainedNetwork, workers: int
) -> Iterator["Future[_Image]"]:
    """The images in order; the next ones are read by threads while one is predicted."""
    with ThreadPoolExecutor(max(1, workers)) as pool:
        coming: deque[Future[_Image]] = deque()
        rest = iter(scans)
        for _ in scans:
            while len(coming) < 1 + workers and (scan := next(rest, None)) is not None:
                coming.append(pool.submit(_read, scan, trained))
            yield coming.popleft()


def _read(scan: Scan, trained: TrainedNetwork) -> _Image:
    volume = read_volume(scan.path)
    grid, array = scan.grid, volume.array
    if scan.raw:
        if trained.preprocessing is None:
            raise DataError(
                f"{scan.path}: the checkpoint does not say how scans were prepared for it. "
                "Fix: run_data_preprocessing.py, then predict a folder of what it wrote."
            )
        array, grid, _ = prepare_volume(volume, trained.preprocessing)
    array = np.ascontiguousarray(array, np.float32)
    if grid is None:
        zero = np.broadcast_to(np.uint8(0), (1, *volume.shape))
        like = Volume(array=zero, affine=volume.affine, source=volume.source)
        return _Image(array, tuple((0, n) for n in volume.shape), like)
    if array.shape[1:] != grid.shape:
        raise DataError(
            f"{scan.path}: its shape is not the one that the metadata of the tree tell. "
            "Fix: run run_data_preprocessing.py again."
        )
    return _Image(array, grid.box, grid.scan)


def _write(
    out: Path,
    scan: Scan,
    image: _Image,
    trained: TrainedNetwork,
    config: ModelPredictionConfig,
    device: str,
) -> None:
    """Predict one image and write what is missing of its files, the mask last."""
    windows = trained.windows(image.array.shape[1:], batch=config.batch_size)
    drawn = draw_mask(
        trained.ask,
        image.array,
        windows,
        channels=len(trained.ids),
        box=image.box,
        shape=image.like.shape,
        device=device,
        keep_logits=config.save_logits or config.save_probabilities,
    )
    mask = np.array(trained.ids, np.uint8)[drawn.mask]
    if config.debug:
        log.info(
            "%s: %s in windows of %s; %s",
            scan.id,
            image.array.shape[1:],
            windows.patch,
            _counted(mask),
        )
    for end, path in _wanted(out, scan, config).items():
        if path.exists():
            continue
        if end == MASK:
            write_mask(path, mask, image.like)
            continue
        scores = drawn.logits
        assert scores is not None
        if end == PROBABILITIES:
            scores = to_probabilities(scores.copy(), "logits", False)
        write_image(path, scores, image.like)


def _counted(mask: np.ndarray) -> str:
    ids, voxels = np.unique(mask, return_counts=True)
    return ", ".join(f"{n} voxels of {i}" for i, n in zip(ids, voxels, strict=True))
