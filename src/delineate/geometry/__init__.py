"""Boxes and distances on a grid of voxels, of any mask."""

from delineate.geometry.boxes import Box, bounding_box, cut, slices
from delineate.geometry.signed_distance import fill_continued, signed_distance

__all__ = ["Box", "bounding_box", "cut", "fill_continued", "signed_distance", "slices"]
