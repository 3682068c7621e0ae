"""Masks of scans from a trained network, window by window, on the scans' own grids."""

from delineate.inference.answer import Extras, windows_of
from delineate.inference.cases import Failure, predict_cases
from delineate.inference.choose_steps import (
    choose_postprocessing,
    read_postprocessing,
    write_postprocessing,
)
from delineate.inference.domain import Domain, take_domain
from delineate.inference.ensemble import Ensemble, average_weights
from delineate.inference.forecast import Forecast, foresee
from delineate.inference.model import Committee, Model
from delineate.inference.outputs import Outputs
from delineate.inference.postprocess import (
    FillHoles,
    KeepLargest,
    RemoveSmall,
    Step,
    apply_steps,
    steps_from_json,
    steps_to_json,
)
from delineate.inference.predict import Prediction, predict_case, predict_volume
from delineate.inference.scans import find_scans
from delineate.inference.sliding import Windows, predict_logits, stream_logits
from delineate.inference.staple import combine_masks
from delineate.inference.stream import Slab, predict_mask
from delineate.inference.uncertainty import Uncertainty

__all__ = [
    "Committee",
    "Domain",
    "Ensemble",
    "Extras",
    "Failure",
    "FillHoles",
    "Forecast",
    "KeepLargest",
    "Model",
    "Outputs",
    "Prediction",
    "RemoveSmall",
    "Slab",
    "Step",
    "Uncertainty",
    "Windows",
    "apply_steps",
    "average_weights",
    "choose_postprocessing",
    "combine_masks",
    "find_scans",
    "foresee",
    "predict_case",
    "predict_cases",
    "predict_logits",
    "predict_mask",
    "predict_volume",
    "read_postprocessing",
    "steps_from_json",
    "steps_to_json",
    "stream_logits",
    "take_domain",
    "windows_of",
    "write_postprocessing",
]
