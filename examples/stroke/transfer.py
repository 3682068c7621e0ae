"""A trained network to go on with on other data."""

from delineate.systems.stroke.transfer import (
    combined_dice_focal_loss,
    dice_coefficient,
    layers_of,
    load_model,
    replace_head,
)

__all__ = [
    "combined_dice_focal_loss",
    "dice_coefficient",
    "layers_of",
    "load_model",
    "replace_head",
]
