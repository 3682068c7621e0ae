"""What a run was made with: versions and machine, for environment.json."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

__all__ = ["describe_environment"]

_PACKAGES = ("delineate", "torch", "lightning", "numpy", "nibabel", "blosc2")


def describe_environment(device: str, precision: str) -> dict[str, Any]:
    """Versions, processor or card, threads and precision; no names of people, paths or hosts."""
    card = torch.cuda.get_device_name() if device == "cuda" else None
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": card or f"CPU ({torch.backends.cpu.get_cpu_capability()})",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "precision": precision,
        "packages": {p: v for p in _PACKAGES if (v := _version(p)) is not None},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
