from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from delineate.contracts import Output
from delineate.inference import Windows, predict_logits, stream_logits


def network(channels, dims=3, seed=0):
    """Context matters and borders differ: wrong placement or weights show."""
    torch.manual_seed(seed)
    conv = nn.Conv3d if dims == 3 else nn.Conv2d
    return nn.Sequential(
        conv(2, 4, 3, padding=1), nn.ReLU(), conv(4, channels, 3, padding=1)
    ).eval()


def positions(size, patch, overlap):
    number = 1
    while (size - patch) > (number - 1) * patch * (1 - overlap) + 1e-9:
        number += 1
    return [round(i * (size - patch) / max(1, number - 1)) for i in range(number)]


def dense(net, image, patch, overlap):
    """Full-size sums of weighted logits and of weights, one window at a time, in float64."""
    shape = image.shape[1:]
    lines = [np.exp(-0.5 * ((np.arange(p) - (p - 1) / 2) / (p / 8)) ** 2) for p in patch]
    weight = torch.from_numpy(np.einsum("i,j,k->ijk", *lines))
    total, weights = 0, torch.zeros(shape, dtype=torch.float64)
    for start in product(*(positions(*v, overlap) for v in zip(shape, patch, strict=True))):
        place = tuple(slice(a, a + p) for a, p in zip(start, patch, strict=True))
        with torch.no_grad():
            logits = net(image[(slice(None), *place)][None])[0].double()
        full = torch.zeros((len(logits), *shape), dtype=torch.float64)
        full[(slice(None), *place)] = logits * weight
        total = total + full
        weights[place] += weight
    return (total / weights).float()


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.75])
@pytest.mark.parametrize("batch", [1, 4, 5])
def test_logits_equal_a_dense_weighted_mean_over_all_windows(overlap, batch):
    image, net = torch.randn(2, 21, 17, 13), network(3)
    windows = Windows(patch=(8, 8, 8), overlap=overlap, batch=batch)
    found = predict_logits(net, image, windows, channels=3)
    torch.testing.assert_close(found, dense(net, image, (8, 8, 8), overlap), atol=2e-6, rtol=1e-5)


def test_a_network_without_context_gives_the_same_as_without_windows():
    image, net = torch.randn(1, 30, 11, 19), nn.Conv3d(1, 2, 1)
    found = predict_logits(net, image, Windows(patch=(8, 6, 5), overlap=0.6, batch=3), channels=2)
    torch.testing.assert_close(found, net(image[None])[0].detach(), atol=1e-6, rtol=1e-5)


def test_a_scan_smaller_than_the_window_is_padded_with_zeros_and_cropped_back():
    image, net = torch.randn(2, 5, 12, 4), network(3)
    found = predict_logits(net, image, Windows(patch=(8, 8, 8)), channels=3)
    padded = torch.zeros(2, 8, 12, 8)
    padded[:, 1:6, :, 2:6] = image
    expected = dense(net, padded, (8, 8, 8), 0.5)[:, 1:6, :, 2:6]
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("batch", [1, 3])
def test_slabs_follow_each_other_without_gap_or_overlap(batch):
    image, net = torch.randn(2, 29, 9, 9), network(2)
    windows = Windows(patch=(8, 8, 8), batch=batch)
    slabs = [
        (start, slab.clone()) for start, slab in stream_logits(net, image, windows, channels=2)
    ]
    assert len(slabs) > 2
    ends = [start + slab.shape[1] for start, slab in slabs]
    assert [start for start, _ in slabs] == [0, *ends[:-1]]
    assert ends[-1] == 29
    whole = torch.cat([slab for _, slab in slabs], dim=1)
    torch.testing.assert_close(whole, predict_logits(net, image, windows, channels=2))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("batch", [1, 4])
def test_a_2d_network_walks_along_the_slice_axis(axis, batch):
    image, net = torch.randn(2, 10, 9, 11), network(3, dims=2)
    patch = [6, 6, 6]
    patch[axis] = 1
    found = predict_logits(
        net, image, Windows(patch=tuple(patch), slice_axis=axis, batch=batch), channels=3
    )
    as_3d = lambda crop: net(crop.squeeze(2 + axis)).unsqueeze(2 + axis)  # noqa: E731 # one use
    expected = dense(as_3d, image, tuple(patch), 0.5)
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=1e-5)


def test_pictures_are_cut_in_two_axes():
    image, net = torch.randn(1, 23, 18), nn.Conv2d(1, 2, 1)
    found = predict_logits(net, image, Windows(patch=(8, 8), batch=3), channels=2)
    torch.testing.assert_close(found, net(image[None])[0].detach(), atol=1e-6, rtol=1e-5)


def test_flips_are_averaged_and_a_left_right_flip_swaps_paired_channels():
    image, net = torch.randn(2, 8, 8, 8), network(3)
    mirror = (0, 2, 1)
    windows = Windows(patch=(8, 8, 8), flips=(0, 2), mirror=mirror)
    found = predict_logits(net, image, windows, channels=3)
    looks = []
    for axes in ((), (0,), (2,), (0, 2)):
        dims = [1 + a for a in axes]
        with torch.no_grad():
            logits = net(image.flip(dims)[None])[0].flip(dims)
        looks.append(logits[list(mirror)] if 0 in axes else logits)
    torch.testing.assert_close(found, torch.stack(looks).mean(0), atol=1e-6, rtol=1e-5)


def test_flips_of_slices_go_along_the_axes_that_the_network_sees():
    image, net = torch.randn(2, 6, 7, 6), network(3, dims=2)
    windows = Windows(patch=(6, 1, 6), slice_axis=1, flips=(0,), mirror=(0, 2, 1))
    found = predict_logits(net, image, windows, channels=3)
    for j in range(7):
        with torch.no_grad():
            straight = net(image[:, :, j][None])[0]
            mirrored = net(image[:, :, j].flip(1)[None])[0].flip(1)[[0, 2, 1]]
        torch.testing.assert_close(found[:, :, j], (straight + mirrored) / 2, atol=1e-6, rtol=1e-5)


def test_an_output_is_as_good_as_a_tensor():
    image, net = torch.randn(2, 9, 9, 9), network(2)
    windows = Windows(patch=(8, 8, 8))
    found = predict_logits(lambda x: Output(logits=net(x)), image, windows, channels=2)
    torch.testing.assert_close(found, predict_logits(net, image, windows, channels=2))


def test_the_image_is_left_as_it_was():
    image = torch.randn(2, 9, 9, 9)
    before = image.clone()
    predict_logits(lambda x: x, image, Windows(patch=(8, 8, 8), flips=(0, 1, 2)), channels=2)
    assert torch.equal(image, before)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"overlap": 1.0}, r"overlap is a share of the window below 1, not 1\.0"),
        ({"slice_axis": 0}, r"the patch \(8, 8, 1\) is not 1 along slice axis 0"),
        ({"slice_axis": 2, "flips": (2,)}, "sees no mirror along its slice axis 2"),
    ],
)
def test_a_cut_that_cannot_be_is_refused(wish, message):
    with pytest.raises(ValueError, match=message):
        Windows(patch=(8, 8, 1), **wish)


def test_a_network_without_logits_is_refused():
    image, windows = torch.randn(1, 8, 8, 8), Windows(patch=(8, 8, 8))
    with pytest.raises(ValueError, match="the network puts out no logits"):
        predict_logits(lambda x: Output(logits=None), image, windows, channels=2)
