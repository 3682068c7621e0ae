"""Trains, checks and runs medical image segmentation models."""

from delineate.cores import wait_briefly

__version__ = "0.1.0"
__all__ = ["__version__"]

wait_briefly()  # before anything imports torch
