"""Trained networks for other programs, each compared with the one that was trained."""

from delineate.export.bundle import export_bundle
from delineate.export.difference import Difference, ExportDiffers
from delineate.export.onnx_file import export_onnx
from delineate.export.program import export_program
from delineate.export.windows import Sample, first_scan, noise_sample, scan_sample

__all__ = [
    "Difference",
    "ExportDiffers",
    "Sample",
    "export_bundle",
    "export_onnx",
    "export_program",
    "first_scan",
    "noise_sample",
    "scan_sample",
]
