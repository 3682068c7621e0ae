"""Networks: each one takes an image (b, c, *s) and returns an Output."""

from delineate.models.foreign import as_output
from delineate.models.unet import UNet

__all__ = ["UNet", "as_output"]
