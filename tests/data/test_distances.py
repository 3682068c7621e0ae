"""Distances kept beside the prepared cases, and read by the box."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch

from delineate.data import make_distances, prepare
from delineate.errors import DataError
from delineate.geometry import signed_distance
from delineate.io import read_mask, write_mask
from delineate.labels import Class, Labels
from delineate.plan import Network


def all_of(cache) -> list[str]:
    return [case.id for case in cache.cases]


def read_distance(cache, case, start=None, stop=None, *, k=3) -> np.ndarray:
    start, stop = start or (0, 0, 0), stop or cache.shape(case)
    out = np.full((k, *(b - a for a, b in zip(start, stop, strict=True))), np.nan, np.float32)
    cache.read_distance(case, start, out=out)
    return out


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.5, 1.0, 2.5)])
def test_distances_are_those_of_the_whole_case(make_plan, make_cases, tmp_path, spacing):
    plan = make_plan(spacing=spacing)
    cache = prepare(make_cases(2), plan, tmp_path / "cache")
    cache = make_distances(cache, plan, all_of(cache))
    for case in all_of(cache):
        mask, found = cache.read_mask(case), read_distance(cache, case)
        for channel in range(3):
            expected = signed_distance(mask == channel, spacing)
            np.testing.assert_allclose(found[channel], expected, rtol=5e-4)
            assert ((found[channel] < 0) == (mask == channel)).all()
        part = read_distance(cache, case, (2, 3, 1), (9, 8, 4))
        np.testing.assert_array_equal(part, found[:, 2:9, 3:8, 1:4])


def test_a_batch_has_the_distances_of_its_patch(plan, make_cases, tmp_path, batches_of):
    cache = prepare(make_cases(3), plan, tmp_path / "cache")
    cache = make_distances(cache, plan, all_of(cache))
    plain = batches_of(cache, plan)
    # Wider than the cases: over the border, the sign is still that of the mask.
    for read in (plan.patch, (20, 16, 12)):
        for batch in batches_of(cache, plan, distance=True, read_patch=read):
            distance, mask = batch.target.distance, batch.target.mask
            assert distance.shape == (2, 3, *read)
            assert distance.dtype == torch.float32
            own = torch.stack([mask == channel for channel in range(3)], dim=1)
            assert torch.equal(distance < 0, own)
    for a, b in zip(plain, batches_of(cache, plan, distance=True), strict=True):
        assert a.target.distance is None
        assert torch.equal(a.image, b.image)
        assert torch.equal(a.target.mask, b.target.mask)


def test_an_absent_class_and_a_case_without_a_mask_are_zero(plan, make_cases, tmp_path, batches_of):
    first, second = make_cases(2)
    mask = read_mask(first.label)
    mask.array[mask.array == 2] = 0
    write_mask(first.label, mask.array[0], mask)
    cases = [first, replace(second, label=None)]
    cache = prepare(cases, plan, tmp_path / "cache")
    cache = make_distances(cache, plan, all_of(cache))
    found = read_distance(cache, first.id, (-2, 0, 0), (9, 9, 9))
    assert (found[2] == 0).all()
    assert (found[:2] != 0).all()
    assert (read_distance(cache, second.id) == 0).all()
    assert next(iter(batches_of(cache, plan, distance=True))).target.distance is not None


def test_an_ignored_voxel_is_outside_every_class(make_plan, make_cases, tmp_path):
    labels = Labels.from_names({"anterior": 1}, ignore=2)
    plan = make_plan(labels=labels)
    cache = prepare(make_cases(1), plan, tmp_path / "cache")
    cache = make_distances(cache, plan, ["case_0"])
    mask, found = cache.read_mask("case_0"), read_distance(cache, "case_0", k=2)
    assert (mask == -1).any()
    assert (found[:, mask == -1] > 0).all()


def test_overlapping_classes_have_a_map_each(make_plan, make_cases, tmp_path):
    plan = make_plan(labels=Labels(classes=(Class(name="a", id=1),), overlapping=True))
    cache = prepare(make_cases(1), plan, tmp_path / "cache")
    cache = make_distances(cache, plan, ["case_0"])
    found = read_distance(cache, "case_0", (-1, 0, 0), (8, 8, 8), k=1)
    filled = np.zeros((9, 8, 8), bool)
    filled[1:] = cache.read_mask("case_0")[0, :8, :8, :8]
    assert ((found[0] < 0) == filled).all()


def test_a_2d_network_gets_distances_that_know_the_neighbouring_slices(
    make_plan, make_cases, tmp_path, batches_of
):
    network = Network(features=(8,), strides=((1, 1),), kernels=((3, 3),), convolutions=(2,))
    plan = make_plan(patch=(8, 1, 8), network=network)
    cache = prepare(make_cases(2), plan, tmp_path / "cache")
    cache = make_distances(cache, plan, all_of(cache))
    batch = next(iter(batches_of(cache, plan, distance=True)))
    assert batch.target.distance.shape == (2, 3, 8, 8)


def test_distances_are_made_once_and_only_what_is_missing(plan, make_cases, tmp_path, monkeypatch):
    cache = prepare(make_cases(3), plan, tmp_path / "cache")
    seen = []

    def progress(items, total, what):
        for item in items:
            seen.append((total, what))
            yield item

    make_distances(cache, plan, ["case_1"], progress=progress)
    made = make_distances(cache, plan, all_of(cache), progress=progress)
    assert seen == [(1, "distances"), (2, "distances"), (2, "distances")]
    module = import_module("delineate.data.distances")
    monkeypatch.setattr(module, "signed_distance", lambda *_: pytest.fail("made twice"))
    again = make_distances(cache, plan, all_of(cache))
    np.testing.assert_array_equal(read_distance(again, "case_2"), read_distance(made, "case_2"))
    # Nothing but whole files is left behind.
    assert {p.suffix for p in cache.folder.iterdir()} == {".case", ".json", ".distances1"}


def test_another_version_of_the_file_is_made_anew(plan, make_cases, tmp_path, monkeypatch):
    cache = prepare(make_cases(1), plan, tmp_path / "cache")
    make_distances(cache, plan, ["case_0"])
    monkeypatch.setattr(import_module("delineate.data.distances"), "_FORMAT", 2)
    make_distances(cache, plan, ["case_0"])
    assert len(list(cache.folder.glob("*.distances*"))) == 2


def test_batches_without_their_distances_are_refused(plan, make_cases, tmp_path, batches_of):
    cache = prepare(make_cases(2), plan, tmp_path / "cache")
    partly = make_distances(cache, plan, ["case_0"])
    with pytest.raises(
        DataError,
        match=r"^case_1: its signed distances are not made\. Fix: batches of the cache that "
        r"make_distances returns\.$",
    ):
        batches_of(partly, plan, distance=True)
