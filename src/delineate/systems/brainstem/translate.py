"""The documented settings in the engine's words: a plan of the data, and a configuration.

What the document does not say is the recipe `brainstem`'s. Three things are not as in the origin.
An epoch is `samples_per_volume` patches of each training subject; most of them lie around a
structure, each class as often. The two cycles of the rate, the second twice as long as the first,
are stretched to end with the training: cut at its end, they would leave the rate high. What is
validated and kept is the average of the weights over the last steps.
"""

from math import ceil
from pathlib import Path
from typing import Any

from delineate.config import Config, load_config
from delineate.cores import usable_cores
from delineate.plan import Network, Normalisation, Plan
from delineate.systems.brainstem.augmentation import parts
from delineate.systems.brainstem.loss import terms
from delineate.systems.brainstem.network import network_entry, precision_wish
from delineate.systems.brainstem.pace import Pace
from delineate.systems.brainstem.prepared import Prepared
from delineate.systems.brainstem.settings import TrainingConfig
from delineate.systems.brainstem.volumes import channel_names

__all__ = ["make_config", "make_plan", "validations"]

CYCLES, GROWTH = 2, 2.0


def make_plan(config: TrainingConfig, prepared: Prepared) -> Plan:
    """Patches of the documented size on the scans' own grid; values are normalised before."""
    names = channel_names(config)
    return Plan(
        channels=names,
        labels=prepared.labels,
        spacing=prepared.spacing,
        shape=prepared.shape,
        crop_nonzero=False,
        normalisation=(Normalisation(kind="none"),) * len(names),
        separate_axis=None,
        patch=config.patch_size,
        batch_size=config.batch_size,
        network=Network(
            features=(config.head_width,),
            strides=((1, 1, 1),),
            kernels=((3, 3, 3),),
            convolutions=(2,),
        ),
        memory_gb=0.0,
        reasons={
            "spacing": "The median of the scans.",
            "patch": "patch_size.",
            "normalisation": "Volumes are normalised as a whole before they are cut.",
        },
    )


def make_config(config: TrainingConfig, prepared: Prepared, pace: Pace, run: Path) -> Config:
    """The configuration; everything that is documented in it is the settings'.

    Args:
        run: its folder; plan and cache lie beside it.
    """
    said = load_config("brainstem", [f"data.root={prepared.table}"]).model_dump(mode="json")
    said["run_dir"] = str(run)
    said["data"] |= {
        "layout": "table",
        "labels": str(prepared.labels_file),
        "folds": None,
        "cache": str(run.with_name("cache")),
    }
    said["plan"] = {"file": str(run.with_name("plan.json"))}
    said["model"] = network_entry(config, checkpointing=pace.checkpointing)
    said["loss"] = terms(config, prepared.labels)
    said["augment"] = parts(config, prepared.labels, within=prepared.within)
    said["optimizer"] = {
        "name": "AdamW",
        "lr": config.learning_rate,
        "weight_decay": config.weight_decay,
    }
    rise = min(config.warmup_epochs, config.num_epochs // 2)
    said["schedule"] = {
        "name": "WarmRestarts",
        "cycles": CYCLES,
        "growth": GROWTH,
        "warmup": rise / config.num_epochs,
    }
    said["train"] |= _train(config, pace)
    return Config.model_validate(said)


def validations(config: TrainingConfig) -> int:
    """How many there are in the whole training, at least the one at its end."""
    return max(1, round(config.num_epochs / config.val_interval))


def _train(config: TrainingConfig, pace: Pace) -> dict[str, Any]:
    times = validations(config)
    every = config.num_epochs / times
    return {
        "budget": f"{pace.steps} steps",
        "seed": config.seed,
        "device": config.device,
        "precision": precision_wish(config),
        "workers": min(config.num_workers, max(0, usable_cores() - 1)),
        "validations": times,
        "clip": config.gradient_clip,
        # In epochs, as documented, whatever lies between two validations: never fewer.
        "patience": ceil(config.early_stopping_patience / every - 1e-9),
        "on_plateau": "stop",
    }
