"""How well a mask agrees with the truth, per case and class, in voxels and in mm."""

from delineate.metrics.atlas import Challenge, score_atlas
from delineate.metrics.bootstrap import mean_interval, mean_intervals
from delineate.metrics.calibration import Calibration, calibrate, measure_calibration
from delineate.metrics.compare import Difference, compare, compare_classes
from delineate.metrics.comparison import Comparison, compare_tables
from delineate.metrics.direction import Direction, bounds, direction
from delineate.metrics.folders import evaluate_folders
from delineate.metrics.hierarchy import Violations, hierarchy_violations, level_violations
from delineate.metrics.lesions import LesionRule, Lesions, count_lesions, measure_lesions
from delineate.metrics.measures import GROUPS, Measures
from delineate.metrics.overlap import Counts, confusion, count
from delineate.metrics.patients import read_patients
from delineate.metrics.presence import Presence, area_under_curve, judge_presence
from delineate.metrics.probabilities import evaluate_probabilities
from delineate.metrics.ranking import Ranking, Standing, rank_classes, rank_tables
from delineate.metrics.score import score_masks
from delineate.metrics.strata import Strata, read_strata
from delineate.metrics.subgroups import Group, Subgroups, size_groups, subgroups
from delineate.metrics.surface import SurfaceDistances, measure_surfaces, surface_distances
from delineate.metrics.table import (
    Row,
    Table,
    join_tables,
    read_table,
    read_tables,
    summarise,
    write_table,
)

__all__ = [
    "GROUPS",
    "Calibration",
    "Challenge",
    "Comparison",
    "Counts",
    "Difference",
    "Direction",
    "Group",
    "LesionRule",
    "Lesions",
    "Measures",
    "Presence",
    "Ranking",
    "Row",
    "Standing",
    "Strata",
    "Subgroups",
    "SurfaceDistances",
    "Table",
    "Violations",
    "area_under_curve",
    "bounds",
    "calibrate",
    "compare",
    "compare_classes",
    "compare_tables",
    "confusion",
    "count",
    "count_lesions",
    "direction",
    "evaluate_folders",
    "evaluate_probabilities",
    "hierarchy_violations",
    "join_tables",
    "judge_presence",
    "level_violations",
    "mean_interval",
    "mean_intervals",
    "measure_calibration",
    "measure_lesions",
    "measure_surfaces",
    "rank_classes",
    "rank_tables",
    "read_patients",
    "read_strata",
    "read_table",
    "read_tables",
    "score_atlas",
    "score_masks",
    "size_groups",
    "subgroups",
    "summarise",
    "surface_distances",
    "write_table",
]
