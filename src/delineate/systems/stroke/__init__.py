"""Stroke lesions: progressive training, auto-configuration, inference and pictures."""

from delineate.systems.stroke.auto_config import create_auto_config

__all__ = ["create_auto_config"]
