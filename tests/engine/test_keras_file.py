from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from delineate.engine.keras_file import read_keras
from delineate.errors import DataError

EPSILON = 1.001e-5
RNG = np.random.default_rng(0)


def write_layers(path: Path, layers: dict[str, dict[str, np.ndarray]], root: str = "") -> None:
    with h5py.File(path, "w") as file:
        for layer, weights in layers.items():
            for name, array in weights.items():
                file[f"{root}{layer}/{layer}/{name}:0"] = array.astype(np.float32)


def convolution(inner: int, outer: int, size: int) -> dict[str, np.ndarray]:
    return {"kernel": RNG.normal(size=(size, size, inner, outer)), "bias": RNG.normal(size=outer)}


def norm(width: int) -> dict[str, np.ndarray]:
    draws = {name: RNG.normal(size=width) for name in ("gamma", "beta", "moving_mean")}
    return draws | {"moving_variance": RNG.uniform(1e-5, 1e-4, width)}


@pytest.mark.parametrize("root", ["", "model_weights/"], ids=["weights", "whole model"])
def test_convolution_and_norm_compute_what_keras_computes(tmp_path: Path, root: str):
    layers = {"conv1_conv": convolution(3, 4, 7), "conv1_bn": norm(4)}
    write_layers(tmp_path / "r.h5", layers, root)
    state = read_keras(tmp_path / "r.h5")
    image = torch.from_numpy(RNG.normal(size=(1, 9, 9, 3)).astype(np.float32))
    ours = F.batch_norm(
        F.conv2d(image.permute(0, 3, 1, 2), state["conv1.weight"]),
        state["bn1.running_mean"],
        state["bn1.running_var"],
        state["bn1.weight"],
        state["bn1.bias"],
        eps=1e-5,
    )
    # Keras by its definition: sum over window and inputs, channels last.
    windows = np.lib.stride_tricks.sliding_window_view(image.numpy()[0], (7, 7), axis=(0, 1))
    kernel, bn = layers["conv1_conv"]["kernel"], layers["conv1_bn"]
    theirs = np.einsum("xycij,ijco->xyo", windows, kernel) + layers["conv1_conv"]["bias"]
    theirs = (theirs - bn["moving_mean"]) / np.sqrt(bn["moving_variance"] + EPSILON)
    theirs = theirs * bn["gamma"] + bn["beta"]
    np.testing.assert_allclose(ours[0].permute(1, 2, 0).numpy(), theirs, rtol=2e-3, atol=1e-2)


def test_blocks_get_the_names_of_torchvision(tmp_path: Path):
    layers = {
        "conv2_block1_0_conv": convolution(4, 8, 1),
        "conv2_block1_0_bn": norm(8),
        "conv5_block3_2_conv": convolution(4, 4, 3),
        "conv5_block3_2_bn": norm(4),
        "predictions": {"kernel": RNG.normal(size=(8, 5)), "bias": RNG.normal(size=5)},
        "my_layer": {"kernel": RNG.normal(size=(3, 3, 3, 2, 6))},
    }
    write_layers(tmp_path / "r.h5", layers)
    shapes = {name: tuple(tensor.shape) for name, tensor in read_keras(tmp_path / "r.h5").items()}
    bn = ("weight", "bias", "running_mean", "running_var")
    assert shapes == {
        "layer1.0.downsample.0.weight": (8, 4, 1, 1),
        **{f"layer1.0.downsample.1.{leaf}": (8,) for leaf in bn},
        "layer4.2.conv2.weight": (4, 4, 3, 3),
        **{f"layer4.2.bn2.{leaf}": (4,) for leaf in bn},
        "fc.weight": (5, 8),
        "fc.bias": (5,),
        "my_layer.weight": (6, 2, 3, 3, 3),
    }


def test_a_file_without_layers_says_how_to_write_one(tmp_path: Path):
    with h5py.File(tmp_path / "r.h5", "w") as file:
        file["images"] = np.zeros(3)
    with pytest.raises(DataError, match="no layers of a Keras model"):
        read_keras(tmp_path / "r.h5")


def test_only_numbers_that_lie_in_the_file_are_read(tmp_path: Path):
    (tmp_path / "secret").write_bytes(bytes(64))
    outside = [(str(tmp_path / "secret"), 0, 64)]
    for arguments in ({"shape": (10**6, 10**6)}, {"shape": (4, 4), "external": outside}):
        with h5py.File(tmp_path / "r.h5", "w") as file:
            file.create_dataset("dense/kernel:0", dtype="f4", **arguments)
        with pytest.raises(DataError, match="'dense/kernel:0' is not stored plainly in it"):
            read_keras(tmp_path / "r.h5")


def test_a_kernel_that_is_none_is_an_error_and_not_a_traceback(tmp_path: Path):
    with h5py.File(tmp_path / "r.h5", "w") as file:
        file["dense/kernel:0"] = np.zeros(3)
    with pytest.raises(DataError, match="not a readable HDF5 file of weights"):
        read_keras(tmp_path / "r.h5")


def test_a_broken_file_is_an_error_and_not_a_traceback(tmp_path: Path):
    (tmp_path / "r.h5").write_bytes(b"nothing")
    with pytest.raises(DataError, match="not a readable HDF5 file"):
        read_keras(tmp_path / "r.h5")
