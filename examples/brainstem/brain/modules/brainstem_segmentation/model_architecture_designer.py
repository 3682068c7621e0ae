"""The networks of the document."""

from delineate.models import MorphogenAugmentedViTGNN, ViTGNN

__all__ = ["MorphogenAugmentedViTGNN", "ViTGNN"]
