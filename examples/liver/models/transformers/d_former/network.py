"""D-Former."""

from delineate.systems.liver.networks import SegNetwork

__all__ = ["SegNetwork"]
