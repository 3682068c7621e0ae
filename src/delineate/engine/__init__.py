"""The training loop, on Lightning: task, clock, callbacks, weights."""

from delineate.engine.callbacks import Figures, Progress, Validation
from delineate.engine.clock import Clock
from delineate.engine.environment import describe_environment
from delineate.engine.fit import fit
from delineate.engine.optim import parameter_groups
from delineate.engine.task import Task
from delineate.engine.tracking import CsvTable
from delineate.engine.validation import scorer

__all__ = [
    "Clock",
    "CsvTable",
    "Figures",
    "Progress",
    "Task",
    "Validation",
    "describe_environment",
    "fit",
    "parameter_groups",
    "scorer",
]
