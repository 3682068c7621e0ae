"""Patch and network against nnU-Net's own figures."""

import json
from pathlib import Path

import pytest

from delineate.plan.topology import (
    first_patch,
    long_axis,
    plan_network,
    shrinking_patches,
    target_spacing,
    total_stride,
)

# Made with nnunetv2 2.8.1's get_pool_and_conv_props and the loop that its planner puts around it:
# five geometries of published plans, the others random. "smaller" are its next patches when memory
# is short, up to the first tie between axes or the first axis below 16 voxels.
REFERENCE = json.loads((Path(__file__).parent / "nnunet_topologies.json").read_text())


def _nested(value):
    return tuple(_nested(v) for v in value) if isinstance(value, list) else value


@pytest.mark.parametrize("known", REFERENCE, ids=lambda e: f"{e['spacing']}-{e['shape']}")
def test_patch_strides_and_kernels_are_those_of_nnunet(known):
    network, patch = plan_network(
        first_patch(known["spacing"], known["shape"]), known["spacing"], 32
    )

    assert patch == _nested(known["patch"])
    assert network.strides == _nested(known["strides"])
    assert network.kernels == _nested(known["kernels"])


@pytest.mark.parametrize("known", REFERENCE, ids=lambda e: f"{e['spacing']}-{e['shape']}")
def test_a_patch_shrinks_along_the_same_axes_as_in_nnunet(known):
    patches = shrinking_patches(
        first_patch(known["spacing"], known["shape"]), known["spacing"], known["shape"]
    )

    found = [next(patches) for _ in range(1 + len(known["smaller"]))]

    assert found[1:] == [_nested(p) for p in known["smaller"]]


def test_the_published_plan_of_the_hippocampus():
    network, patch = plan_network(first_patch((1, 1, 1), (36, 50, 35)), (1, 1, 1), 32)

    assert patch == (40, 56, 40)
    assert network.features == (32, 64, 128, 256)
    assert network.strides == ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2))
    assert set(network.kernels) == {(3, 3, 3)}
    assert network.convolutions == (2, 2, 2, 2)


@pytest.mark.parametrize(("dims", "cap"), [(3, 320), (2, 512)])
def test_features_double_up_to_the_cap(dims, cap):
    network, _ = plan_network((256,) * dims, (1.0,) * dims, 32)

    assert network.features == (32, 64, 128, 256, *[cap] * (len(network.strides) - 4))


def test_every_patch_is_divisible_and_smaller_than_the_one_before():
    sizes = list(shrinking_patches((200, 180, 40), (0.8, 0.8, 3.0), (300, 300, 60)))

    for patch in sizes:
        network, padded = plan_network(patch, (0.8, 0.8, 3.0), 16)
        assert padded == patch
        assert all(p % s == 0 for p, s in zip(patch, total_stride(network), strict=True))
    volumes = [a * b * c for a, b, c in sizes]
    assert volumes == sorted(volumes, reverse=True)
    assert len(set(sizes)) == len(sizes)
    assert min(sizes[-1]) >= 16


def test_an_axis_of_one_slice_is_never_halved():
    network, patch = plan_network((1, 64, 64), (5.0, 1.0, 1.0), 16)

    assert patch == (1, 64, 64)
    assert total_stride(network) == (1, 16, 16)


def test_the_target_spacing_is_the_median():
    spacing, finer = target_spacing([(1, 1, 1), (1, 1, 2), (1, 1, 3)], [(90, 90, 90)] * 3)

    assert spacing == (1, 1, 2)
    assert finer is None


def test_few_thick_slices_get_the_tenth_percentile():
    thick = [(1.0, 1.0, float(mm)) for mm in range(4, 15)]

    spacing, finer = target_spacing(thick, [(256, 256, 20)] * len(thick))

    assert finer == 2
    assert spacing == (1.0, 1.0, 5.0)  # the 10th percentile of 4, 5, ..., 14


def test_the_tenth_percentile_never_goes_below_the_other_axes():
    mixed = [(1.0, 1.0, 0.5)] * 3 + [(1.0, 1.0, 6.0)] * 8

    assert target_spacing(mixed, [(256, 256, 20)] * 11) == ((1.0, 1.0, 1.0), 2)


def test_voxels_more_than_three_times_as_long_as_wide_are_long():
    assert long_axis((1.0, 1.0, 3.0)) is None
    assert long_axis((3.1, 1.0, 1.0)) == 0
