"""pipeline_configuration.json: the whole training in plain words and numbers, as documented."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from delineate.config import Config
from delineate.io import atomic_path
from delineate.plan import Plan
from delineate.systems.brainstem.checkpoints import BEST, checkpoint_name
from delineate.systems.brainstem.pace import Pace
from delineate.systems.brainstem.prepared import Prepared
from delineate.systems.brainstem.settings import TrainingConfig, plain

__all__ = ["PIPELINE", "describe_pipeline", "write_pipeline"]

PIPELINE = "pipeline_configuration.json"


def write_pipeline(description: dict[str, Any], folder: Path) -> Path:
    """Replace the file in the folder at once."""
    with atomic_path(folder / PIPELINE) as part:
        part.write_text(json.dumps(description, indent=2), encoding="utf-8")
    return folder / PIPELINE


def describe_pipeline(
    config: TrainingConfig, prepared: Prepared, plan: Plan, pace: Pace, engine: Config
) -> dict[str, Any]:
    """All documented keys, with what is really done."""
    said = engine.model_dump(mode="json")
    weights = {term["name"]: term["weight"] for term in said["loss"]}
    return {
        "generated": datetime.now(UTC).isoformat(timespec="seconds"),
        "phase": "Phase 2 - Design & Architecture",
        "step": "3.F3 - Training Pipeline Implementation",
        "pipeline_components": {
            "preprocessing": {
                "normalization": "z-score of the whole volume",
                "patch_size": list(plan.patch),
                "patch_overlap": engine.predict.overlap,
                "spacing_mm": list(plan.spacing),
                "channels": list(plan.channels),
                "classes": ["background", *(leaf.name for leaf in prepared.labels.leaves)],
                "label_ids": [0, *(leaf.id for leaf in prepared.labels.leaves)],
                "subdivisions": list(prepared.subdivisions),
            },
            "augmentation": {
                "elastic_prob": config.elastic_prob,
                "noise_prob": config.noise_prob,
                "cutmix_prob": config.cutmix_prob,
                "morphogen_aware": config.morphogen_aware,
                "transforms": said["augment"],
            },
            "training": {
                "model": said["model"],
                "loss_weights": weights,
                "optimizer": said["optimizer"],
                "scheduler": said["schedule"],
                "precision": said["train"]["precision"],
                "batch_size": pace.batch_size,
                "parts_of_a_batch": pace.parts,
                "gradient_checkpointing": pace.checkpointing,
                "step_memory_gb": round(pace.memory_gb, 3),
            },
        },
        "training_parameters": plain(config),
        "validation_strategy": {
            "interval_epochs": config.num_epochs / engine.train.validations,
            "early_stopping": "validation Dice",
            "early_stopping_patience_epochs": config.early_stopping_patience,
            "held_out": "whole subjects" if prepared.training > 1 else "see training.log",
        },
        "output_artifacts": {
            "checkpoints": checkpoint_name(0).replace("000", "XXX"),
            "best_model": BEST,
            "configuration": PIPELINE,
            "log": "training.log",
            "package": "brainstem_model.zip",
            "report": f"{engine.run_dir.name}/report.html",
        },
    }
