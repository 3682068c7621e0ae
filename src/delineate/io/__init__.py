"""Reads scans of any format into RAS+ arrays, and writes masks back onto the scans' own grids."""

from delineate.io.orient import to_source
from delineate.io.paths import SUFFIXES, atomic_path, is_image, stem
from delineate.io.read import read_header, read_mask, read_volume
from delineate.io.volume import Grid, Header, Volume
from delineate.io.write import write_image, write_mask

__all__ = [
    "SUFFIXES",
    "Grid",
    "Header",
    "Volume",
    "atomic_path",
    "is_image",
    "read_header",
    "read_mask",
    "read_volume",
    "stem",
    "to_source",
    "write_image",
    "write_mask",
]
