"""Weights of Keras (.h5) under the names and in the layout of PyTorch.

Keras keeps kernels as (*s, in, out), PyTorch as (out, in, *s). The layers of its ResNet50 get the
names of torchvision: conv3_block2_1_conv is layer2.1.conv1, conv3_block1_0_bn is
layer2.0.downsample.1.
Every convolution of that ResNet has a bias b where PyTorch's has none; the batch normalisation
behind it subtracts a running mean, so mean - b takes it up exactly. Its epsilon is 1.001e-5 and
PyTorch's 1e-5: the difference goes into the running variance.
"""

import re
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor

from delineate.errors import DataError

__all__ = ["RESNET_NOTE", "read_keras"]

RESNET_NOTE = (
    "Keras' ResNet50 halves the resolution in the first convolution of a block, PyTorch's in the "
    "second: the weights fit, yet the features differ until they are trained on."
)
_EPSILON_GAP = 1.001e-5 - 1e-5
_LEAVES = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
    "kernel": "weight",
    "bias": "bias",
}
_BROKEN = (OSError, ValueError, TypeError, LookupError, RuntimeError, MemoryError)
"""What h5py and the arrays raise where the file was not written by Keras."""
_BLOCK = re.compile(r"conv(\d)_block(\d+)_(\d)_(conv|bn)$")


def read_keras(path: Path) -> dict[str, Tensor]:
    """The weights of a Keras file; its layers keep their names unless they are a ResNet50's."""
    try:
        with h5py.File(path) as file:
            layers = _layers(file, path.stat().st_size)
        _fold_biases(layers)
        state = {
            f"{_module(layer)}.{_LEAVES[leaf]}": torch.from_numpy(_turned(leaf, array))
            for layer, arrays in layers.items()
            for leaf, array in arrays.items()
        }
    except _BROKEN as error:
        raise DataError(f"{path}: not a readable HDF5 file of weights ({error}).") from None
    if not state:
        raise DataError(
            f"{path}: no layers of a Keras model in here (kernel, gamma, ...). "
            "Fix: save it with model.save('NAME.h5')."
        )
    return state


def _layers(file: h5py.File, size: int) -> dict[str, dict[str, np.ndarray]]:
    """Arrays by layer and by Keras' name of the weight, in the order of the model.

    Only numbers in the file itself are read, and together no more than it has `size` bytes: a data
    set may also name another file, or be of any shape and hold nothing.
    """
    found: dict[str, dict[str, np.ndarray]] = {}
    left = size

    def visit(name: str, item: object) -> None:
        nonlocal left
        *folders, leaf = name.split("/")
        leaf = leaf.partition(":")[0]
        # The training state of an optimiser repeats the names of the layers.
        if not folders or folders[0] == "optimizer_weights" or leaf not in _LEAVES:
            return
        if isinstance(item, h5py.Dataset):
            left -= item.nbytes
            if left < 0 or item.external or item.is_virtual:
                raise ValueError(f"'{name}' is not stored plainly in it")
            found.setdefault(folders[-1], {})[leaf] = np.asarray(item, np.float32)

    file.visititems(visit)
    return found


def _fold_biases(layers: dict[str, dict[str, np.ndarray]]) -> None:
    """Move the bias of each convolution of a ResNet into the normalisation behind it."""
    for name, norm in layers.items():
        if "moving_variance" not in norm or not name.endswith("_bn"):
            continue
        norm["moving_variance"] = norm["moving_variance"] + np.float32(_EPSILON_GAP)
        convolution = layers.get(name.removesuffix("_bn") + "_conv", {})
        if "bias" in convolution:
            norm["moving_mean"] = norm["moving_mean"] - convolution.pop("bias")


def _module(layer: str) -> str:
    """torchvision's name of a layer of Keras' ResNet50; any other name stays."""
    if layer in ("conv1_conv", "conv1_bn"):
        return layer.replace("conv1_", "").replace("conv", "conv1").replace("bn", "bn1")
    if layer in ("predictions", "probs"):
        return "fc"
    match = _BLOCK.match(layer)
    if match is None:
        return layer
    stage, block, part, kind = match.groups()
    place = f"layer{int(stage) - 1}.{int(block) - 1}"
    if part == "0":
        return f"{place}.downsample.{'01'[kind == 'bn']}"
    return f"{place}.{kind}{part}"


def _turned(leaf: str, array: np.ndarray) -> np.ndarray:
    """The kernel with the outputs first; vectors as they are."""
    if leaf != "kernel":
        return array
    *space, inner, outer = range(array.ndim)
    return np.ascontiguousarray(array.transpose(outer, inner, *space))
