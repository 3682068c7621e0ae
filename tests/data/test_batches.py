"""Batches: pure functions of seed, step and slot."""

from collections import Counter
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from delineate.data import Batches, make_distances, prepare
from delineate.errors import DataError
from delineate.labels import Class, Labels
from delineate.plan import Network


def test_a_batch_has_the_shapes_and_types_of_its_contract(cache, plan, batches_of):
    first = next(iter(batches_of(cache, plan, read_patch=(12, 10, 8))))
    assert first.image.shape == (2, 1, 12, 10, 8)
    assert first.image.dtype == torch.float32
    assert first.target.mask is not None
    assert first.target.mask.shape == (2, 12, 10, 8)
    assert first.target.mask.dtype == torch.int64
    assert first.target.presence is None
    assert first.spacing == (1.0, 1.0, 1.0)
    assert len(first.cases) == 2


@pytest.mark.parametrize(("workers", "start_step"), [(1, 0), (2, 7)])
def test_any_number_of_workers_gives_the_same_samples(
    cache, plan, workers, start_step, batches_of, assert_equal
):
    cache = make_distances(cache, plan, [c.id for c in cache.cases])
    asked = {"distance": True, "rare": 0.4, "start_step": start_step, "read_patch": (12, 14, 8)}
    found = list(batches_of(cache, plan, workers=workers, **asked))
    assert_equal(found, list(batches_of(cache, plan, **asked)))
    assert all(b.target.distance is not None for b in found)


def test_a_batch_cut_in_two_has_the_same_samples(cache, plan, batches_of):
    whole = list(batches_of(cache, plan, batch_size=4, start_step=3, rare=0.3))
    halves = list(batches_of(cache, plan, batch_size=2, start_step=6, steps=8, rare=0.3))
    for i, batch in enumerate(whole):
        pair = halves[2 * i : 2 * i + 2]
        assert torch.equal(torch.cat([b.image for b in pair]), batch.image)
        assert pair[0].cases + pair[1].cases == batch.cases


def test_a_restart_gives_the_samples_that_would_have_come(cache, plan, batches_of, assert_equal):
    whole = list(batches_of(cache, plan, steps=9))
    rest = list(batches_of(cache, plan, start_step=5, steps=4))
    assert [b.step for b in rest] == [5, 6, 7, 8]
    assert_equal(rest, whole[5:])


def test_each_pass_is_the_same_and_another_seed_is_not(cache, plan, batches_of, assert_equal):
    batches = batches_of(cache, plan)
    assert_equal(list(batches), list(batches))
    other = list(batches_of(cache, plan, seed=4))
    pairs = zip(other, batches, strict=True)
    assert not all(torch.equal(a.image, b.image) for a, b in pairs)


def test_every_case_comes_once_in_each_epoch_and_in_another_order(cache, plan, batches_of):
    cases = [c for b in batches_of(cache, plan, steps=10) for c in b.cases]
    epochs = [cases[i : i + 5] for i in range(0, 20, 5)]
    assert all(Counter(e) == Counter(c.id for c in cache.cases) for e in epochs)
    assert len({tuple(e) for e in epochs}) > 1


def test_image_and_mask_are_cut_from_the_same_place(cache, plan, batches_of):
    for batch in batches_of(cache, plan, foreground=1.0):
        for case, image, mask in zip(batch.cases, batch.image, batch.target.mask, strict=True):
            whole, truth = cache.read_image(case)[0], cache.read_mask(case)
            windows = np.lib.stride_tricks.sliding_window_view(whole, plan.patch)
            places = np.argwhere((windows == image[0].numpy()).all(axis=(3, 4, 5)))
            assert len(places) == 1
            inside = tuple(slice(s, s + p) for s, p in zip(places[0], plan.patch, strict=True))
            np.testing.assert_array_equal(truth[inside], mask)
            assert (mask > 0).any()


def test_each_sample_tells_where_in_its_case_it_begins_and_ends(cache, plan, batches_of):
    for batch in batches_of(cache, plan, foreground=1.0, read_patch=plan.patch):
        for case, image, place in zip(batch.cases, batch.image, batch.place.numpy(), strict=True):
            whole = cache.read_image(case)[0]
            windows = np.lib.stride_tricks.sliding_window_view(whole, plan.patch)
            (start,) = np.argwhere((windows == image[0].numpy()).all(axis=(3, 4, 5)))
            np.testing.assert_allclose(place[:, 0], start / whole.shape, rtol=1e-6)
            np.testing.assert_allclose(place[:, 1], (start + plan.patch) / whole.shape, rtol=1e-6)


def test_the_place_of_what_is_read_in_excess_is_that_of_all_of_it(cache, plan, batches_of):
    wide = tuple(n + 4 for n in plan.patch)
    pairs = zip(batches_of(cache, plan), batches_of(cache, plan, read_patch=wide), strict=True)
    for own, more in pairs:
        shapes = torch.tensor([cache.shape(case) for case in own.cases])
        torch.testing.assert_close(more.place[..., 0], own.place[..., 0] - 2 / shapes)
        torch.testing.assert_close(more.place[..., 1], own.place[..., 1] + 2 / shapes)


def test_a_wider_reading_has_the_same_patch_in_its_middle(cache, plan, batches_of):
    wide = list(batches_of(cache, plan, read_patch=(12, 11, 8)))
    for a, b in zip(wide, batches_of(cache, plan), strict=True):
        assert torch.equal(a.image[:, :, 2:10, 1:9], b.image)
        assert torch.equal(a.target.mask[:, 2:10, 1:9], b.target.mask)


def test_without_steps_there_is_no_end(cache, plan, batches_of):
    endless = batches_of(cache, plan, steps=None)
    assert [b.step for b in islice(endless, 12)] == list(range(12))
    with pytest.raises(TypeError, match="no end"):
        len(endless)
    assert len(batches_of(cache, plan, steps=7)) == 7


def test_a_2d_network_gets_slices_of_volumes(make_plan, make_cases, tmp_path, batches_of):
    network = Network(features=(8,), strides=((1, 1),), kernels=((3, 3),), convolutions=(2,))
    plan = make_plan(patch=(8, 1, 8), network=network, spacing=(1.0, 3.0, 2.0))
    cache = prepare(make_cases(2), plan, tmp_path / "cache")
    batch = next(iter(batches_of(cache, plan, read_patch=(12, 1, 10))))
    assert batch.image.shape == (2, 1, 12, 10)
    assert batch.target.mask is not None
    assert batch.target.mask.shape == (2, 12, 10)
    assert batch.spacing == (1.0, 2.0)
    with pytest.raises(ValueError, match="must be 1 on the slice axis 1"):
        batches_of(cache, plan, read_patch=(12, 2, 10))


def test_overlapping_masks_are_float_layers_and_presence_is_passed_on(
    make_plan, make_cases, tmp_path, batches_of
):
    labels = Labels(classes=(Class(name="a", id=1),), overlapping=True)
    plan = make_plan(labels=labels)
    cases = [replace(c, presence=(i % 2,)) for i, c in enumerate(make_cases(3))]
    cache = prepare(cases, plan, tmp_path / "cache")
    for batch in batches_of(cache, plan, foreground=1.0):
        assert batch.target.mask is not None
        assert batch.target.mask.shape == (2, 1, 8, 8, 8)
        assert batch.target.mask.dtype == torch.float32
        expected = [[float(int(c[-1]) % 2)] for c in batch.cases]
        assert batch.target.presence is not None
        assert batch.target.presence.tolist() == expected


def test_cases_without_masks_have_none_or_are_ignored_beside_others(
    plan, make_cases, tmp_path, batches_of
):
    first, second = make_cases(2)
    none = prepare([replace(first, label=None)], plan, tmp_path / "cache")
    assert next(iter(batches_of(none, plan))).target.mask is None
    mixed = prepare([replace(first, label=None), second], plan, tmp_path / "cache")
    for batch in batches_of(mixed, plan):
        for case, mask in zip(batch.cases, batch.target.mask, strict=True):
            assert bool((mask == -1).all()) == (case == first.id)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_names_its_case(cache, plan, workers, batches_of):
    home = next(cache.folder.glob("case_3-*.case"))
    data = bytearray(home.read_bytes())
    begin = cache._stored["case_3"].arrays["image"].offsets[0]
    data[begin : begin + 16] = bytes(16)
    home.write_bytes(data)
    with pytest.raises(DataError, match=r"^case_3: .*.case cannot be read .* for step ") as caught:
        list(batches_of(cache, plan, workers=workers))
    assert "Traceback" in caught.value.__notes__[0]


def test_bad_arguments_are_refused_before_anything_is_read(cache, plan, batches_of):
    with pytest.raises(DataError, match=r"^there are no cases to draw batches from\.$"):
        Batches(
            cache, [], plan, seed=0, batch_size=2, read_patch=plan.patch, foreground=0.5, steps=1
        )
    with pytest.raises(
        ValueError, match=r"read_patch \(8, 8, 7\) is smaller than the plan's patch"
    ):
        batches_of(cache, plan, read_patch=(8, 8, 7))
    with pytest.raises(ValueError, match=r"^rare is a share, from 0 to 1, not 1\.5$"):
        batches_of(cache, plan, rare=1.5)
    with pytest.raises(ValueError, match=r"^foreground is a share, from 0 to 1, not -1$"):
        batches_of(cache, plan, foreground=-1)
