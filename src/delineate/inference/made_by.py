"""What a folder of masks was made by, so that a rerun never mixes the masks of two models."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from delineate.errors import DataError
from delineate.inference.cascade import Cascade
from delineate.inference.model import Committee
from delineate.inference.postprocess import steps_to_json
from delineate.inference.predict import Predictor
from delineate.io import atomic_path

__all__ = ["FILE", "claim_folder"]

FILE = "prediction.json"


def claim_folder(out: Path, model: Predictor) -> None:
    """Note in the folder what predicts; one that holds another model's masks is a DataError."""
    facts = _facts(model)
    path = out / FILE
    if path.is_file():
        known = _read(path)
        different = [key for key in facts if known.get(key) != facts[key]]
        if different:
            raise DataError(
                f"{out}: holds masks of another model or other settings "
                f"({_tell(known, facts, different[0])}). "
                "Fix: choose another folder; one folder, one model."
            )
        return
    with atomic_path(path) as part:
        part.write_text(json.dumps(facts, indent=1), encoding="utf-8")


def _read(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}. Fix: choose another folder.") from None
    return known if isinstance(known, dict) else {}


def _facts(model: Predictor) -> dict[str, Any]:
    """All that decides what a mask looks like: plain data, weights by their checksum."""
    if isinstance(model, Cascade):
        return {
            "stages": [
                {
                    "name": stage.name,
                    "model": _facts(stage.model),
                    "does": repr(stage.does),
                    "given": repr(stage.given),
                    "answer": None if stage.answer is None else dict(stage.answer),
                }
                for stage in model.stages
            ]
        }
    if isinstance(model, Committee):
        return {
            "models": [_facts(member) for member in model.models],
            "combine": model.combine,
            "steps": steps_to_json(model.steps),
        }
    return {
        "weights": [_checksum(network) for network in model.networks],
        "plan": hashlib.sha256(repr(model.plan).encode()).hexdigest(),
        "overlap": model.overlap,
        "flips": list(model.flips),
        "combine": model.combine if len(model.networks) > 1 else None,
        "steps": steps_to_json(model.steps),
    }


def _checksum(network: nn.Module) -> str:
    """Of all weights and buffers, by name."""
    digest = hashlib.sha256(type(network).__qualname__.encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _tell(known: dict[str, Any], facts: dict[str, Any], key: str) -> str:
    if key not in known:
        return f"they were made by another kind of model, without {key}"
    if key in ("weights", "plan", "models", "stages"):
        return f"its {key} differ{'s' if key == 'plan' else ''}"
    return f"{key} was {known.get(key)}, is {facts[key]}"
