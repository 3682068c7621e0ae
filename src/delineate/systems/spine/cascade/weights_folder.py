"""The checkpoints of a cascade: found by their names, opened, and ready to be asked."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from delineate.errors import ConfigError, DataError
from delineate.systems.spine.cascade.ballot import resolve_keep
from delineate.systems.spine.cascade.settings import CascadeSettings, Gate
from delineate.systems.spine.prediction.answers import Answerer

__all__ = ["Networks", "OpenGate", "open_networks"]

SUFFIXES = (".ckpt", ".pt", ".pth")
PRUNED = "pruned_"

Open = Callable[[Path], Answerer]
"""From a checkpoint to a network that can be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenGate:
    """A gate with its network."""

    gate: Gate
    answerer: Answerer
    keep: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """All networks of a cascade."""

    gates: tuple[OpenGate, ...]
    cord: Answerer | None
    lesion: Answerer
    files: Mapping[str, Path]
    """The checkpoint of each, by what it does."""

    def checksums(self) -> dict[str, str]:
        """The SHA-256 of each file."""
        return {
            name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in self.files.items()
        }


def open_networks(settings: CascadeSettings, open_checkpoint: Open) -> Networks:
    """Open every checkpoint; all that are missing are one DataError."""
    files = _find_all(settings)
    answerers = {name: open_checkpoint(path) for name, path in files.items()}
    gates = []
    for gate in settings.gates:
        answerer = answerers[gate.name]
        _check_task(gate.name, files[gate.name], answerer, "classification")
        keep = resolve_keep(gate, answerer.trained.classes or ())
        gates.append(OpenGate(gate=gate, answerer=answerer, keep=keep))
    for name in ("cord", "lesion"):
        if name in answerers:
            _check_task(name, files[name], answerers[name], "segmentation")
    return Networks(
        gates=tuple(gates), cord=answerers.get("cord"), lesion=answerers["lesion"], files=files
    )


def _find_all(settings: CascadeSettings) -> dict[str, Path]:
    folder = settings.weights
    names = [gate.name for gate in settings.gates]
    wrong = next((n for n in names if names.count(n) > 1 or n in ("cord", "lesion")), None)
    if wrong is not None:
        raise ConfigError(f"gates: two stages are called '{wrong}'. Fix: give each its own name.")
    wanted: dict[str, tuple[str, ...]] = {g.name: (g.checkpoint,) for g in settings.gates}
    wanted["cord"] = (settings.cord.checkpoint,)
    wanted["lesion"] = (settings.lesion.checkpoint, PRUNED + settings.lesion.checkpoint)
    found = {name: _find(folder, *names) for name, names in wanted.items()}
    if missing := [wanted[n][0] for n, path in found.items() if path is None and n != "cord"]:
        there = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else None
        held = (
            "no such folder" if there is None else f"it holds {', '.join(there[:12]) or 'nothing'}"
        )
        raise DataError(
            f"{folder}: {', '.join(f'{name}.ckpt' for name in missing)} not found; {held}. "
            "Fix: put the checkpoints of `ml_framework train` there under these names, or name the "
            "folder with --weights."
        )
    return {name: path for name, path in found.items() if path is not None}


def _find(folder: Path, *names: str) -> Path | None:
    """The first that is there: a file, or the only checkpoint of a folder of that name."""
    for name in names:
        place = folder / name
        files = (place, *(place.with_name(place.name + suffix) for suffix in SUFFIXES))
        if file := next((path for path in files if path.is_file()), None):
            return file
        inside = [p for p in sorted(place.glob("*")) if p.suffix in SUFFIXES]
        if len(inside) > 1:
            raise DataError(
                f"{place}: {len(inside)} checkpoints: {', '.join(p.name for p in inside[:5])}. "
                f"Fix: keep one, or put it beside the folder as {name}.ckpt."
            )
        if inside:
            return inside[0]
    return None


def _check_task(name: str, path: Path, answerer: Answerer, task: str) -> None:
    if answerer.trained.task != task:
        raise ConfigError(
            f"{path}: was trained for {answerer.trained.task}, but '{name}' of a cascade needs "
            f"{task}. Fix: check which checkpoint has which name."
        )
