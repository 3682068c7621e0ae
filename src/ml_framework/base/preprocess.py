"""The class that steps of one's own are subclasses of."""

from delineate.systems.spine.schema.bases import BasePreprocess

__all__ = ["BasePreprocess"]
