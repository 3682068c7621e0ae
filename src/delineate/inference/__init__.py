"""Masks of scans from a trained network, window by window, on the scans' own grids."""

from delineate.inference.predict import Failure, predict_case, predict_cases, windows_of
from delineate.inference.scans import find_scans
from delineate.inference.sliding import Windows, predict_logits, stream_logits

__all__ = [
    "Failure",
    "Windows",
    "find_scans",
    "predict_case",
    "predict_cases",
    "predict_logits",
    "stream_logits",
    "windows_of",
]
