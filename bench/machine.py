"""What the figures were taken on: machine and versions, no names of people, paths or hosts."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

PACKAGES = (
    "delineate",
    "torch",
    "nnunetv2",
    "batchgeneratorsv2",
    "dynamic-network-architectures",
    "monai",
    "torchio",
    "surface-distance",
    "simpleitk",
    "numpy",
    "scipy",
)


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name as it gives it itself."""
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cores() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe_machine() -> str:
    """One line: processor, cores, vector instructions, card."""
    bf16 = "with" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "without"
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return (
        f"{processor()}, {cores()} cores, {torch.backends.cpu.get_cpu_capability()} "
        f"{bf16} bf16; {card}; {platform.system()}"
    )


def describe_versions() -> str:
    """One line: Python and every package that is installed."""
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} absent")
    return ", ".join(found)


def load() -> float:
    """How many processes wanted a core during the last minute; 0 where nobody can tell."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
