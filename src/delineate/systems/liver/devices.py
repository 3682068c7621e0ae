"""What of the asked-for cards and precision this machine has."""

import logging
from typing import Any

import torch
from lightning.pytorch.strategies import DDPStrategy

from delineate.engine.hardware import choose_precision, lightning_precision
from delineate.systems.liver.settings import ModelTrainingConfig

__all__ = ["choose_devices"]

log = logging.getLogger("delineate")


def choose_devices(config: ModelTrainingConfig) -> dict[str, Any]:
    """Arguments of a Trainer: as many cards as are asked for and there, else the processor.

    Where that is fewer than asked for, or half precision is not for a processor, it is said.
    """
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    cards = min(config.gpus, there)
    if cards < config.gpus:
        log.warning(
            "gpus is %d, but this machine has %s: training on %s.",
            config.gpus,
            there or "no card",
            f"{cards} of them" if cards else "the processor",
        )
    if cards:
        return {
            "accelerator": "gpu",
            "devices": cards,
            # Cards may have unequally many cases to validate: none waits for another's buffers.
            "strategy": DDPStrategy(broadcast_buffers=False) if cards > 1 else "auto",
            "precision": config.precision,
        }
    return {"accelerator": "cpu", "devices": 1, "precision": _processor_precision(config.precision)}


def _processor_precision(wish: str) -> str:
    if not wish.startswith("16"):
        return wish
    chosen = lightning_precision(choose_precision("auto", "cpu"))
    log.warning("precision is %s, which a processor has not: training in %s.", wish, chosen)
    return chosen
