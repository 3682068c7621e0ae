"""How well a mask agrees with the truth, per case and class, in voxels and in mm."""

from delineate.metrics.bootstrap import mean_interval
from delineate.metrics.compare import Difference, compare
from delineate.metrics.folders import evaluate_folders
from delineate.metrics.overlap import Counts, confusion, count
from delineate.metrics.score import score_masks
from delineate.metrics.surface import SurfaceDistances, measure_surfaces, surface_distances
from delineate.metrics.table import Row, Table, read_table, summarise, write_table

__all__ = [
    "Counts",
    "Difference",
    "Row",
    "SurfaceDistances",
    "Table",
    "compare",
    "confusion",
    "count",
    "evaluate_folders",
    "mean_interval",
    "measure_surfaces",
    "read_table",
    "score_masks",
    "summarise",
    "surface_distances",
    "write_table",
]
