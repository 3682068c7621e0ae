"""What a service offers: one model, how it is asked, and what is told about it."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from delineate.inference.cascade import Cascade
from delineate.inference.model import Committee
from delineate.inference.predict import Predictor, predict_case
from delineate.plan import Plan
from delineate.serve.answer import FORMATS, Answer, measure, write_answer
from delineate.serve.kinds import ACCEPTED
from delineate.serve.limits import Limits

__all__ = ["Service", "answer_scan", "describe", "plans_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One model behind HTTP."""

    predictor: Predictor
    name: str
    """What the model is called, such as the name of its file."""
    card: str = ""
    """Markdown; empty where the model has no card."""
    memory_gb: float | None = None
    """What one prediction may take; None is as much as it likes."""
    device: str = "cpu"
    limits: Limits = field(default_factory=Limits)


def plans_of(predictor: Predictor) -> tuple[Plan, ...]:
    """The plans of all networks that see a scan."""
    if isinstance(predictor, Cascade):
        return tuple(plan for stage in predictor.stages for plan in plans_of(stage.model))
    models = predictor.models if isinstance(predictor, Committee) else (predictor,)
    return tuple(model.plan for model in models)


def describe(service: Service) -> dict[str, Any]:
    """What a client must know before it sends a scan."""
    predictor = service.predictor
    return {
        "name": service.name,
        "channels": list(predictor.channels),
        "labels": predictor.labels.to_json(),
        "spatial_axes": len(plans_of(predictor)[0].spacing),
        "accepts": ACCEPTED,
        "formats": list(FORMATS),
        "max_mb": service.limits.max_bytes / 1e6,
        "notice": "Research software: not a medical device.",
        "card": service.card,
    }


def answer_scan(service: Service, paths: Sequence[str], folder: Path, form: str) -> Answer:
    """Predict a scan, and remove it; the answer lies in the folder.

    Args:
        service: Its networks are on its device already.
        paths: The scan, all of it in a sub-folder `scan` of `folder`.
        folder: The job's.
        form: One of `FORMATS`; empty for a picture of a picture, and NIfTI of all else.
    """
    began = time.monotonic()
    prediction = predict_case(
        service.predictor, paths, memory_gb=service.memory_gb, device=service.device
    )
    mask, labels = prediction.mask, service.predictor.labels
    flat = len(mask.shape) == 2 and not labels.overlapping
    facts = {
        "classes": measure(mask, labels),
        "warnings": list(prediction.warnings),
        "shape": list(mask.source.shape),
        "spacing_mm": [round(mm, 6) for mm in mask.source.spacing],
        "seconds": round(time.monotonic() - began, 3),
    }
    path = folder / f"mask.{form or ('png' if flat else 'nii.gz')}"
    answer = write_answer(mask, facts, path, labels=labels, series=paths[0])
    shutil.rmtree(folder / "scan", ignore_errors=True)
    return answer
