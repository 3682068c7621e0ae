import pytest
import torch

from delineate.engine.nnunet_checkpoint import channel_names, head_names, turn_axes


def checkpoint(**facts):
    return {"network_weights": {}, "init_args": facts}


def dataset(**facts):
    return checkpoint(dataset_json=facts)


def test_channels_come_in_the_order_of_their_numbers():
    names = {str(i): f"c{i}" for i in reversed(range(11))}
    assert channel_names(dataset(channel_names=names)) == tuple(f"c{i}" for i in range(11))
    assert channel_names(dataset(modality={"0": "CT"})) == ("CT",)
    assert channel_names(checkpoint()) is None


def test_a_head_has_a_row_per_id_and_none_for_ignored_voxels():
    labels = {"background": 0, "tail": 2, "head": 1, "ignore": 3}
    assert head_names(dataset(labels=labels)) == ("background", "head", "tail")
    assert head_names({"network_weights": {}}) is None


def test_with_regions_a_head_has_a_row_per_region_and_none_for_the_background():
    labels = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3}
    assert head_names(dataset(labels=labels)) == ("whole", "core", "enhancing")


@pytest.mark.parametrize(
    ("plans", "kernel", "expected"),
    [
        ({}, (1, 2, 3), (3, 2, 1)),
        ({"transpose_forward": [2, 0, 1]}, (1, 2, 3), (1, 3, 2)),
        ({}, (2, 3), (3, 2)),
        ({"image_reader_writer": "NaturalImage2DIO"}, (2, 3), (2, 3)),
    ],
    ids=["z y x", "x first", "slices", "pictures"],
)
def test_kernels_are_turned_to_our_axes(plans, kernel, expected):
    turned = turn_axes(checkpoint(plans=plans), {"w": torch.zeros(5, 4, *kernel)})
    assert turned["w"].shape == (5, 4, *expected)


def test_vectors_and_shared_tensors_stay_as_they_are():
    shared = torch.zeros(2, 2, 1, 1, 3)
    turned = turn_axes(checkpoint(), {"a": shared, "b": shared, "v": torch.arange(3)})
    assert turned["a"] is turned["b"]
    assert torch.equal(turned["v"], torch.arange(3))
