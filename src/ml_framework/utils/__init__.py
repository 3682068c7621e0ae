"""An experiment out of its YAML file, and a trained network out of its checkpoint."""

from delineate.systems.spine.learning.checkpoint import load_trained
from delineate.systems.spine.schema.experiment import read_experiment

__all__ = ["load_trained", "read_experiment"]
