"""What of the asked-for cards and precision this machine has."""

from typing import Any

from delineate.engine import devices
from delineate.systems.liver.settings import ModelTrainingConfig

__all__ = ["choose_devices"]


def choose_devices(config: ModelTrainingConfig) -> dict[str, Any]:
    """Arguments of a Trainer, as the settings ask."""
    return devices.choose_devices(config.gpus, config.precision)
