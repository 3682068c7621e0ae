"""What of the asked-for cards and precision this machine has, as arguments of a Trainer."""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch.strategies import DDPStrategy

from delineate.engine.hardware import choose_precision, lightning_precision
from delineate.errors import ConfigError

__all__ = ["choose_devices"]

log = logging.getLogger("delineate")


def choose_devices(gpus: int | Sequence[int], precision: str) -> dict[str, Any]:
    """As many cards as are asked for and there, else the processor.

    Where that is fewer than asked for, or half precision is not for a processor, it is said.

    Args:
        gpus: How many cards, -1 all of them, 0 the processor; or which ones.
        precision: As Lightning calls it.
    """
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not isinstance(gpus, int):
        absent = [card for card in gpus if card >= there]
        if absent and there:
            raise ConfigError(f"gpus: there is no card {absent[0]}; they are 0 to {there - 1}.")
        cards, asked = (len(gpus) if there else 0), len(gpus)
    else:
        asked = there if gpus < 0 else gpus
        cards = min(asked, there)
        if gpus < 0 and not there:
            asked = 1
    if cards < asked:
        log.warning(
            "gpus is %s, but this machine has %s: training on %s.",
            gpus if isinstance(gpus, int) else list(gpus),
            there or "no card",
            f"{cards} of them" if cards else "the processor",
        )
    if cards:
        return {
            "accelerator": "gpu",
            "devices": cards if isinstance(gpus, int) else list(gpus),
            # Cards may have unequally many cases to validate: none waits for another's buffers.
            "strategy": DDPStrategy(broadcast_buffers=False) if cards > 1 else "auto",
            "precision": precision,
        }
    return {"accelerator": "cpu", "devices": 1, "precision": _processor_precision(precision)}


def _processor_precision(wish: str) -> str:
    if not wish.startswith("16"):
        return wish
    chosen = lightning_precision(choose_precision("auto", "cpu"))
    log.warning("precision is %s, which a processor has not: training in %s.", wish, chosen)
    return chosen
