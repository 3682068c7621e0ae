"""The class that networks of one's own are subclasses of."""

from delineate.systems.spine.schema.bases import BaseModel

__all__ = ["BaseModel"]
