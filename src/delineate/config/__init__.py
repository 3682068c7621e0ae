"""What a person asks for: typed sections read strictly from YAML, and the parts that they name."""

from delineate.config.budget import Budget
from delineate.config.build import build, check, check_parts
from delineate.config.load import dump_config, load_config
from delineate.config.meanings import json_schema
from delineate.config.recipes import list_recipes, recipe_path
from delineate.config.reference import config_reference
from delineate.config.resolve import resolve
from delineate.config.schema import (
    Config,
    Data,
    LossTerm,
    Optimizer,
    Part,
    PlanWishes,
    Predict,
    Stage,
    Train,
)
from delineate.config.stages import stage_configs

__all__ = [
    "Budget",
    "Config",
    "Data",
    "LossTerm",
    "Optimizer",
    "Part",
    "PlanWishes",
    "Predict",
    "Stage",
    "Train",
    "build",
    "check",
    "check_parts",
    "config_reference",
    "dump_config",
    "json_schema",
    "list_recipes",
    "load_config",
    "recipe_path",
    "resolve",
    "stage_configs",
]
