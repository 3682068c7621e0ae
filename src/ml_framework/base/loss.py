"""The class that losses of one's own are subclasses of."""

from delineate.systems.spine.schema.bases import BaseLoss

__all__ = ["BaseLoss"]
