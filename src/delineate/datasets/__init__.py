"""Which scans and masks a folder holds, what is wrong with them, and synthetic ones to try."""

from delineate.datasets.case import Case, Dataset
from delineate.datasets.doctor import examine
from delineate.datasets.findings import Examination, Finding
from delineate.datasets.folds import Split, make_folds, split_cases
from delineate.datasets.layout import LAYOUTS, read_dataset
from delineate.datasets.repair import repair
from delineate.datasets.synthetic import PHANTOMS, synthesise

__all__ = [
    "LAYOUTS",
    "PHANTOMS",
    "Case",
    "Dataset",
    "Examination",
    "Finding",
    "Split",
    "examine",
    "make_folds",
    "read_dataset",
    "repair",
    "split_cases",
    "synthesise",
]
