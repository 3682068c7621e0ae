"""Masks made slab by slab against the same made from the scores of the whole scan."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from delineate.data import Prepared, restore
from delineate.inference import Windows, foresee, predict_logits, predict_mask
from delineate.inference import stream as stream_module
from delineate.inference.job import make_job
from delineate.inference.tiles import tilings


def network(channels, dims=3, seed=0):
    """Context matters and borders differ: wrong placement or weights show."""
    torch.manual_seed(seed)
    conv = nn.Conv3d if dims == 3 else nn.Conv2d
    return nn.Sequential(
        conv(1, 4, 3, padding=1), nn.ReLU(), conv(4, channels, 3, padding=1)
    ).eval()


def scan(shape, *, source=None, separate_axis=None, margin=0):
    """Noise on the plan's grid; the crop has the shape `source` and lies `margin` voxels inside."""
    image = np.random.default_rng(0).standard_normal((1, *shape), np.float32)
    source = source or shape
    return Prepared(
        array=image,
        box=tuple((margin, margin + n) for n in source),
        source_shape=tuple(n + 2 * margin for n in source),
        spacing=(1.0,) * len(shape),
        separate_axis=separate_axis,
    )


def unstreamed(net, prepared, windows, channels, threshold=None):
    """From the logits of the whole scan: the mask, and where it could go either way."""
    logits = predict_logits(net, torch.from_numpy(prepared.array), windows, channels=channels)
    return restore(logits.numpy(), prepared, threshold=threshold)


def assert_same_but_for_ties(found, expected):
    """Sums in another order round differently: a voxel in a thousand may have two best classes."""
    assert found.shape == expected.shape
    assert (found != expected).mean() < 1e-3


PLACES = [
    pytest.param((21, 17, 13), None, None, id="the same grid"),
    pytest.param((13, 17, 21), None, None, id="longest along the last axis"),
    pytest.param((12, 25, 9), (17, 31, 12), None, id="to finer voxels"),
    pytest.param((25, 12, 11), (13, 9, 7), None, id="to coarser voxels"),
    pytest.param((25, 12, 10), (25, 19, 5), None, id="one axis as it is, one finer, one coarser"),
    pytest.param((12, 10, 24), (15, 13, 7), 2, id="the nearest slice along the streamed axis"),
    pytest.param((24, 10, 7), (31, 13, 15), 2, id="the nearest slice across it"),
    pytest.param((5, 14, 3), (9, 11, 7), None, id="smaller than the window"),
    pytest.param((4, 5, 3), (1, 8, 3), None, id="one voxel thick"),
]


@pytest.mark.parametrize(("shape", "source", "separate_axis"), PLACES)
@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.7])
def test_a_mask_is_that_of_the_whole_scans_scores(shape, source, separate_axis, overlap):
    prepared = scan(shape, source=source, separate_axis=separate_axis)
    net, windows = network(3), Windows(patch=(8, 6, 8), overlap=overlap, batch=3)
    found = predict_mask(net, prepared, windows, channels=3, threshold=None)
    assert found.dtype == np.uint8
    assert_same_but_for_ties(found, unstreamed(net, prepared, windows, 3))


@pytest.mark.parametrize(("shape", "source", "separate_axis"), PLACES)
def test_overlapping_classes_are_each_cut_at_the_threshold(shape, source, separate_axis):
    prepared = scan(shape, source=source, separate_axis=separate_axis)
    net, windows = network(3), Windows(patch=(8, 6, 8))
    found = predict_mask(net, prepared, windows, channels=3, threshold=0.05)
    assert found.dtype == np.uint8
    assert found.shape == (3, *prepared.source_shape)
    assert_same_but_for_ties(found, unstreamed(net, prepared, windows, 3, threshold=0.05))


def test_outside_the_crop_is_background():
    prepared = scan((9, 12, 8), source=(12, 9, 10), margin=3)
    net, windows = network(2), Windows(patch=(8, 8, 8))
    found = predict_mask(net, prepared, windows, channels=2, threshold=None)
    assert_same_but_for_ties(found, unstreamed(net, prepared, windows, 2))
    found[3:15, 3:12, 3:13] = 0
    assert not found.any()


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("source", [None, (13, 7, 12)])
def test_a_2d_network_walks_along_the_slice_axis(axis, source):
    prepared = scan((10, 9, 11), source=source, separate_axis=axis)
    patch = [6, 6, 6]
    patch[axis] = 1
    net = network(3, dims=2)
    windows = Windows(patch=tuple(patch), slice_axis=axis, batch=4, flips=((axis + 1) % 3,))
    found = predict_mask(net, prepared, windows, channels=3, threshold=None)
    assert_same_but_for_ties(found, unstreamed(net, prepared, windows, 3))


@pytest.mark.parametrize("source", [None, (31, 12)])
def test_pictures_are_predicted_like_volumes(source):
    prepared, net = scan((23, 18), source=source), network(3, dims=2)
    windows = Windows(patch=(8, 8), batch=2)
    found = predict_mask(net, prepared, windows, channels=3, threshold=None)
    assert_same_but_for_ties(found, unstreamed(net, prepared, windows, 3))


def brute_force(net, image, patch, overlap):
    """The weighted mean of all windows' logits in float64, one voxel box at a time."""
    shape = image.shape[1:]
    lines = []
    for n, p in zip(shape, patch, strict=True):
        number = 1
        while (n - p) > (number - 1) * p * (1 - overlap) + 1e-9:
            number += 1
        lines.append([round(i * (n - p) / max(1, number - 1)) for i in range(number)])
    curves = [np.exp(-0.5 * ((np.arange(p) - (p - 1) / 2) / (p / 8)) ** 2) for p in patch]
    weight = np.einsum("i,j,k->ijk", *curves)
    total, weights = 0, np.zeros(shape)
    for start in product(*lines):
        place = tuple(slice(a, a + p) for a, p in zip(start, patch, strict=True))
        with torch.no_grad():
            logits = net(torch.from_numpy(image[(slice(None), *place)][None]))[0].double().numpy()
        full = np.zeros((len(logits), *shape))
        full[(slice(None), *place)] = logits * weight
        total = total + full
        weights[place] += weight
    return total / weights


def test_scores_and_mask_equal_a_dense_reference_in_double_precision():
    prepared, net = scan((19, 26, 15)), network(4)
    expected = brute_force(net, prepared.array, (8, 8, 8), 0.5)
    seen = np.full((4, *prepared.shape), np.nan, np.float32)

    def watch(slab):
        assert np.isnan(seen[(slice(None), *slab.place)]).all()
        seen[(slice(None), *slab.place)] = slab.scores.numpy()

    windows = Windows(patch=(8, 8, 8))
    found = predict_mask(net, prepared, windows, channels=4, threshold=None, watch=watch)
    np.testing.assert_allclose(seen, expected, atol=2e-6, rtol=1e-5)
    ordered = np.sort(expected, axis=0)
    clear = ordered[-1] - ordered[-2] > 1e-5
    np.testing.assert_array_equal(found[clear], expected.argmax(0)[clear])
    assert clear.mean() > 0.99


def forced(monkeypatch, prepared, windows, channels, *, cuts, kind=torch.float32):
    """Make `predict_mask` cut the scan into tiles, as a small budget would."""
    plain = foresee(lambda x: x, prepared, windows, channels=channels, threshold=None)
    job = make_job(prepared, windows, channels=channels, threshold=None, device=torch.device("cpu"))
    ways = list(tilings(job.lines, job.matrices, axis=job.axis, old=job.old, new=job.new))
    tiling = max(ways, key=lambda t: len(t.tiles)) if cuts else ways[0]
    use(monkeypatch, replace(plain, tiling=tiling, sums=kind))
    return tiling


def use(monkeypatch, forecast):
    monkeypatch.setattr(stream_module, "foresee", lambda *_, **__: forecast)


@pytest.mark.parametrize(("shape", "source", "separate_axis"), PLACES)
@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_tiles_give_the_same_mask_and_the_same_scores_each_voxel_once(
    monkeypatch, shape, source, separate_axis, overlap
):
    prepared, net = scan(shape, source=source, separate_axis=separate_axis), network(3)
    windows = Windows(patch=(8, 6, 4), overlap=overlap, batch=2)
    whole = predict_mask(net, prepared, windows, channels=3, threshold=None)
    scores = predict_logits(net, torch.from_numpy(prepared.array), windows, channels=3).numpy()
    tiling = forced(monkeypatch, prepared, windows, 3, cuts=True)
    assert len(tiling.tiles) > 1 or max(shape) < 8 or min(shape) < 4
    seen = np.full((3, *prepared.shape), np.nan, np.float32)

    def watch(slab):
        assert np.isnan(seen[(slice(None), *slab.place)]).all()
        seen[(slice(None), *slab.place)] = slab.scores.numpy()

    found = predict_mask(net, prepared, windows, channels=3, threshold=None, watch=watch)
    assert_same_but_for_ties(found, whole)
    np.testing.assert_allclose(seen, scores, atol=2e-6, rtol=1e-5)


def test_sums_in_half_precision_differ_by_their_rounding(monkeypatch):
    prepared, net = scan((19, 12, 11)), network(3)
    windows = Windows(patch=(8, 8, 8))
    exact = predict_logits(net, torch.from_numpy(prepared.array), windows, channels=3).numpy()
    forced(monkeypatch, prepared, windows, 3, cuts=False, kind=torch.float16)
    seen = np.empty_like(exact)

    def watch(slab):
        seen[(slice(None), *slab.place)] = slab.scores.float().numpy()

    found = predict_mask(net, prepared, windows, channels=3, threshold=None, watch=watch)
    np.testing.assert_allclose(seen, exact, atol=5e-3)
    assert (found != exact.argmax(0)).mean() < 0.02


def test_scores_beyond_half_precision_stay_finite_in_half_sums(monkeypatch):
    prepared, windows = scan((9, 8, 8)), Windows(patch=(8, 8, 8))
    forced(monkeypatch, prepared, windows, 2, cuts=False, kind=torch.float16)
    huge = lambda x: torch.cat([x * 0 - 1e6, x * 0 + 1e6], 1)  # noqa: E731 # one use
    assert predict_mask(huge, prepared, windows, channels=2, threshold=None).all()


def test_more_classes_than_a_byte_holds_take_two():
    prepared, net = scan((6, 6, 6)), network(300)
    windows = Windows(patch=(6, 6, 6))
    found = predict_mask(net, prepared, windows, channels=300, threshold=None)
    assert found.dtype == np.int16
    assert_same_but_for_ties(found, unstreamed(net, prepared, windows, 300))


def test_between_equal_scores_the_first_class_wins():
    prepared, windows = scan((9, 6, 6)), Windows(patch=(6, 6, 6))
    flat = lambda x: x.new_zeros(len(x), 5, 6, 6, 6)  # noqa: E731 # one use
    assert not predict_mask(flat, prepared, windows, channels=5, threshold=None).any()


def test_the_scan_is_left_as_it_was():
    prepared = scan((5, 9, 9))
    before = prepared.array.copy()
    windows = Windows(patch=(8, 8, 8), flips=(0, 1))
    predict_mask(lambda x: x.mul_(2), prepared, windows, channels=1, threshold=0.0)
    np.testing.assert_array_equal(prepared.array, before)


def test_what_the_budget_changes_is_logged(monkeypatch, caplog):
    caplog.set_level("INFO", "delineate")
    prepared, windows = scan((9, 8, 8)), Windows(patch=(8, 8, 8))
    plain = foresee(network(2), prepared, windows, channels=2, threshold=None)
    use(monkeypatch, replace(plain, notes=("to save memory, this and that",)))
    predict_mask(network(2), prepared, windows, channels=2, threshold=None)
    assert caplog.messages == ["to save memory, this and that"]


def test_a_network_with_other_channels_is_refused():
    prepared, windows = scan((9, 8, 8)), Windows(patch=(8, 8, 8))
    with pytest.raises(ValueError, match="the network puts out 2 channels, not 3"):
        predict_mask(network(2), prepared, windows, channels=3, threshold=None)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
@pytest.mark.parametrize(("shape", "source", "separate_axis"), PLACES)
@pytest.mark.parametrize("sums", ["cuda", "cpu"])
def test_a_card_gives_the_mask_of_the_processor(monkeypatch, shape, source, separate_axis, sums):
    prepared = scan(shape, source=source, separate_axis=separate_axis)
    net, windows = network(3), Windows(patch=(8, 6, 8), batch=2)
    expected = predict_mask(net, prepared, windows, channels=3, threshold=None)
    net = net.cuda()
    plain = foresee(net, prepared, windows, channels=3, threshold=None, device="cuda", memory_gb=32)
    use(monkeypatch, replace(plain, sums_device=torch.empty(0, device=sums).device))
    found = predict_mask(net, prepared, windows, channels=3, threshold=None, device="cuda")
    assert_same_but_for_ties(found, expected)
