"""What the machine does best: device, precision, whether to compile."""

import os
import shutil
from typing import Literal

import torch

from delineate.errors import ConfigError

__all__ = ["choose_compile", "choose_device", "choose_precision"]

Precision = Literal["fp32", "bf16", "fp16"]

_LIGHTNING_NAMES = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def choose_device(wish: str = "auto") -> str:
    """'cuda' where there is a card, unless 'cpu' is asked for; an absent card is an error."""
    there = torch.cuda.is_available()
    if wish == "cuda" and not there:
        raise ConfigError("device: there is no CUDA card here. Fix: use cpu or auto.")
    return "cuda" if there and wish != "cpu" else "cpu"


def choose_precision(wish: str, device: str) -> Precision:
    """The fastest safe precision of the device.

    A processor without bf16 instructions emulates them thirty times slower than fp32: it gets fp32.
    """
    if wish == "fp16" and device == "cpu":
        raise ConfigError("precision: a CPU cannot train in fp16. Fix: use auto, bf16 or fp32.")
    if wish == "fp32" or wish == "bf16" or wish == "fp16":
        return wish
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "fp32"


def choose_compile(wish: Literal["auto"] | bool, device: str, *, long: bool) -> bool:
    """Whether torch.compile translates the network: on a GPU, where training is long enough.

    It needs a C++ compiler; asked for without one, it is a ConfigError.
    """
    compilers = (os.environ.get("CXX", "c++"), "g++", "clang++", "cl")
    there = any(shutil.which(name) is not None for name in compilers)
    if wish is True and not there:
        raise ConfigError(
            "train.compile: torch.compile needs a C++ compiler and finds none. "
            "Fix: install g++, or take auto or false."
        )
    return wish if wish != "auto" else device == "cuda" and long and there


def lightning_precision(precision: Precision) -> str:
    """The name that a Lightning Trainer knows it by."""
    return _LIGHTNING_NAMES[precision]
