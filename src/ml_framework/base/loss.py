"""The class that losses of one's own are subclasses of."""

from delineate.systems.spine.bases import BaseLoss

__all__ = ["BaseLoss"]
