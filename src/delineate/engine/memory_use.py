"""How much memory the training has taken at most, for the figures."""

import sys
from pathlib import Path

import torch

__all__ = ["MEMORY_COLUMNS", "memory_figures"]

MEMORY_COLUMNS = ("memory_gb", "gpu_memory_gb")
"""The names of the figures; the second is there on a GPU only."""
_STATUS = Path("/proc/self/status")
_PEAK = "VmHWM:"


def memory_figures(device: torch.device | str) -> dict[str, float]:
    """Peak GB of this process so far, its workers not counted, and of a GPU's tensors."""
    figures = {"memory_gb": peak} if (peak := _peak_gb()) is not None else {}
    if torch.device(device).type == "cuda":
        figures["gpu_memory_gb"] = torch.cuda.max_memory_allocated(device) / 1e9
    return figures


def _peak_gb() -> float | None:
    """Peak resident memory; None where the system does not tell."""
    try:
        # Unlike getrusage, this does not count what the parent had before it started us.
        line = next(x for x in _STATUS.read_text().splitlines() if x.startswith(_PEAK))
        return int(line.split()[1]) * 1024 / 1e9
    except (OSError, StopIteration):
        return _peak_of_usage()


def _peak_of_usage() -> float | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9
