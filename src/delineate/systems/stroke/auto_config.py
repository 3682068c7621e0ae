"""A configuration for the data and the machine: `create_auto_config().generate_complete_config()`.

It has the documented sections, of plain dicts, lists, numbers and texts. What decides the memory of
a training step is not estimated but measured: see `search`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from delineate.config.yaml_text import write_yaml
from delineate.systems.stroke.analysis import analyze_dataset
from delineate.systems.stroke.memory import (
    CPU,
    Setup,
    Steps,
    find_machine,
    network_arguments,
    target_memory,
)
from delineate.systems.stroke.rules import (
    PROGRESSIVE,
    TYPICAL_LESION_PERCENT,
    TYPICAL_SHAPE,
    augmentation_rules,
    loss_rules,
    saves_memory,
    training_rules,
)
from delineate.systems.stroke.search import Choice, choose, shrink

__all__ = ["AutoConfig", "create_auto_config"]

USUAL_CASES = 600
HEAD = 32
"""Channels of an attention head, whose number follows from the width."""
FINEST_WITH_HEADS = 2
MOST_WORKERS = 8
DROPOUT = 0.1


def create_auto_config(
    data_dir: str | Path | None = None, target_memory_gb: float | None = None
) -> "AutoConfig":
    """What makes configurations for this machine, or for one whose card has so much memory.

    Args:
        data_dir: scans and masks in the flat form of ATLAS 2.0 or as BIDS; None is a data set like
            ATLAS 2.0.
        target_memory_gb: what a training step may take, in 10^9 bytes; at most 90 % of what is free
            on a card. None is most of the card, or without one a part of main memory.
    """
    return AutoConfig(data_dir, target_memory_gb)


class AutoConfig:
    """Configurations for one data set and one machine."""

    def __init__(
        self, data_dir: str | Path | None = None, target_memory_gb: float | None = None
    ) -> None:
        if target_memory_gb is not None and target_memory_gb <= 0:
            raise ValueError(f"target_memory_gb must be above 0, got {target_memory_gb}.")
        self.data_dir = None if data_dir is None else Path(data_dir)
        self.machine = find_machine()
        asked = None if target_memory_gb is None else float(target_memory_gb)
        self.target_memory_gb, self.why, self.device = target_memory(asked, self.machine)
        self._steps = Steps(self.device)
        self._facts: dict[str, Any] | None = None

    def analyze_dataset(self) -> dict[str, Any]:
        """What the data are like, read once; of ATLAS 2.0 where no folder was given."""
        if self._facts is None:
            self._facts = (
                {
                    "voxel_size": [1.0, 1.0, 1.0],
                    "median_shape": list(TYPICAL_SHAPE),
                    "average_lesion_percent": TYPICAL_LESION_PERCENT,
                }
                if self.data_dir is None
                else analyze_dataset(self.data_dir)
            )
        return self._facts

    def generate_complete_config(
        self, dataset_size: int | None = None, save_path: str | Path | None = None
    ) -> dict[str, Any]:
        """All sections of a configuration, as plain data that YAML's safe loader reads back.

        Args:
            dataset_size: cases to learn from; None counts those of the folder, or is 600.
            save_path: a YAML file to write it to as well.
        """
        facts = self.analyze_dataset()
        cases = int(facts.get("cases", USUAL_CASES) if dataset_size is None else dataset_size)
        if cases < 1:
            raise ValueError(f"dataset_size must be at least 1, got {cases}.")
        choice = choose(
            self.target_memory_gb,
            self._steps,
            scan=facts["median_shape"],
            cases=cases,
            on_cpu=self.device == CPU,
        )
        config = self._sections(choice, cases, facts)
        if save_path is not None:
            path = Path(save_path)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(write_yaml(config), encoding="utf-8")
        return config

    def get_progressive_configs(self) -> dict[str, dict[str, Any]]:
        """The four documented stages by name, each cut down where its step does not fit."""
        return {name: self._stage(name) for name in PROGRESSIVE}

    def _stage(self, name: str) -> dict[str, Any]:
        rule = PROGRESSIVE[name]
        documented = Setup(
            level=name,
            base_filters=network_arguments(name)["base_filters"],
            shape=(rule["edge"],) * 3,
            batch=rule["batch"],
            checkpointing=saves_memory(self.target_memory_gb),
        )
        choice = shrink(documented, self.target_memory_gb, self._steps)
        return {
            "name": name,
            "model": _model_section(choice.setup),
            "training": {
                "epochs": rule["epochs"],
                "batch_size_per_gpu": choice.setup.batch,
                "gradient_checkpointing": choice.setup.checkpointing,
            },
            "estimated_memory_gb": round(choice.memory_gb, 2),
            "reasons": list(choice.reasons),
        }

    def _sections(self, choice: Choice, cases: int, facts: Mapping[str, Any]) -> dict[str, Any]:
        setup, machine = choice.setup, self.machine
        lesion = facts["average_lesion_percent"]
        training = training_rules(cases)
        workers = min(MOST_WORKERS, machine.cores)
        on_card = self.device != CPU
        return {
            "model": _model_section(setup),
            "training": {
                **training,
                "batch_size_per_gpu": setup.batch,
                # One card trains, however many there are.
                "global_batch_size": setup.batch,
                "mixed_precision": on_card,
                "gradient_checkpointing": setup.checkpointing,
                "use_tensorboard": True,
            },
            "loss": loss_rules(lesion),
            "augmentation": augmentation_rules(lesion),
            "data": ({} if self.data_dir is None else {"data_dir": str(self.data_dir.absolute())}),
            "hardware": {
                "use_mixed_precision": on_card,
                "gradient_checkpointing": setup.checkpointing,
                "use_multi_gpu": False,
                "num_workers": workers,
                "prefetch_factor": 2,
            },
            "stages": _stages_within(setup),
            "meta": {
                "generated_by": "delineate.systems.stroke.create_auto_config",
                "gpu_count": machine.cards,
                "gpu_memory_gb": round(machine.card_gb, 2),
                "target_memory_gb": round(self.target_memory_gb, 2),
                "target_memory_why": self.why,
                "dataset_size": cases,
                "dataset": {key: _copied(value) for key, value in facts.items()},
                "estimated_memory_gb": round(choice.memory_gb, 2),
                "architecture_level": setup.level,
                "reasons": list(choice.reasons),
            },
        }


def _stages_within(last: Setup) -> dict[str, dict[str, Any]]:
    """The stages before the last, no larger than it: a network grows, and never shrinks."""
    stages = {}
    for name, rule in list(PROGRESSIVE.items())[:-1]:
        filters = network_arguments(name)["base_filters"]
        # Memory grows with voxels and filters.
        room = last.batch * last.base_filters // filters
        stages[name] = {
            "input_shape": [min(rule["edge"], most) for most in last.shape],
            "batch_size": max(1, min(rule["batch"], room)),
            "epochs": rule["epochs"],
        }
    return stages


def _model_section(setup: Setup) -> dict[str, Any]:
    arguments = network_arguments(setup.level, setup.base_filters)
    heads = setup.base_filters * 2**FINEST_WITH_HEADS // HEAD
    return {
        "input_shape": [*setup.shape, 1],
        "num_classes": 1,
        "base_filters": setup.base_filters,
        "depth": arguments["depth"],
        "use_attention": arguments["attention"],
        "use_transformer": arguments["transformer"],
        "transformer_depth": arguments.get("transformer_depth", 1),
        "num_heads": heads,
        "use_deep_supervision": True,
        "dropout": DROPOUT,
        "memory_efficient": setup.checkpointing,
    }


def _copied(value: Any) -> Any:
    return list(value) if isinstance(value, list) else value
