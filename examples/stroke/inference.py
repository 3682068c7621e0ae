"""Masks of a test set, each on its scan's own grid."""

from delineate.systems.stroke.inference import generate_test_predictions

__all__ = ["generate_test_predictions"]
