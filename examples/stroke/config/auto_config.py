"""A configuration for the data and the machine."""

from delineate.systems.stroke import create_auto_config

__all__ = ["create_auto_config"]
