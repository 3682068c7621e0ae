"""Bending by structure: weaker where it should be, smooth, and never folding."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from delineate.augment import Affine, AnatomicElastic, Elastic, Frame, Sequence
from delineate.augment.resample import centred_grid
from delineate.contracts import Batch, Target
from delineate.labels import Class, Labels

SIZE = (40, 36, 32)
STRONGEST = {"strength": 0.4, "seed": 5}


def frame(mask, size=SIZE):
    spacing = (1.0, 0.8, 1.2)[: len(size)]
    return Frame(channels=1, patch=size, spacing=spacing, mask=mask)


def displacement(transform, mask, size=SIZE, draw=STRONGEST):
    grid = centred_grid(size, torch.device("cpu"))
    moved = transform.pull(grid, draw, frame(mask, size))
    return np.stack([(m - g).expand(size).numpy() for m, g in zip(moved, grid, strict=True)])


def half(size=SIZE):
    mask = torch.zeros(size, dtype=torch.int64)
    mask[: size[0] // 2] = 1
    return mask


def test_with_all_shares_at_one_it_is_elastic():
    free = displacement(Elastic(intervals=8), half())
    np.testing.assert_allclose(
        displacement(AnatomicElastic(shares={1: 1.0}), half()), free, atol=1e-5
    )


def test_each_region_moves_by_its_share():
    free = displacement(Elastic(intervals=8), half())
    bound = displacement(AnatomicElastic(shares={1: 0.2}), half())
    # Beyond two intervals from the border between them, regions do not feel each other.
    np.testing.assert_allclose(bound[:, :6], 0.2 * free[:, :6], atol=1e-4)
    np.testing.assert_allclose(bound[:, -6:], free[:, -6:], atol=1e-4)


@pytest.mark.parametrize("size", [(40, 36), SIZE])
def test_the_strongest_bending_never_folds_across_the_sharpest_border(size):
    noisy = torch.randint(0, 2, size, generator=torch.Generator().manual_seed(0))
    for mask in (half(size), noisy):
        for seed in range(6):
            draw = {"strength": 0.4, "seed": seed}
            field = displacement(AnatomicElastic(shares={1: 0.0}), mask, size, draw)
            slopes = np.stack([np.stack(np.gradient(f)) for f in field])
            slopes += np.eye(len(size)).reshape(*[len(size)] * 2, *[1] * len(size))
            assert np.linalg.det(np.moveaxis(slopes, (0, 1), (-2, -1))).min() > 0


def test_anatomy_is_found_where_an_affine_map_behind_it_looks():
    mask = half()
    transform = AnatomicElastic(shares={1: 0.0})
    grid = centred_grid(SIZE, torch.device("cpu"))
    shifted = [grid[0] - 12, *grid[1:]]  # tissue 12 voxels up: the half is 32 wide
    moved = transform.pull(shifted, STRONGEST, frame(mask))
    still = (moved[0] - shifted[0]).expand(SIZE)
    assert still[:18].abs().max() < 1e-3
    assert displacement(transform, mask)[0, 14:18].any()


def test_anatomy_is_found_where_an_affine_map_before_it_has_put_it():
    mask = half()
    batch = Batch(
        image=torch.randn(1, 1, *SIZE, generator=torch.Generator().manual_seed(0)),
        target=Target(mask=mask[None]),
        spacing=(1.0, 0.8, 1.2),
        cases=("a",),
        step=0,
    )
    shift = {"rotation_degrees": [0.0] * 3, "scale": [1.0] * 3, "shift": [0.3, 0.0, 0.0]}
    chain = Sequence([Affine(), AnatomicElastic(shares={1: 0.0})], patch=SIZE)
    both = chain.apply(batch, [[shift], [STRONGEST]]).image[0, 0]
    shifted = chain.apply(batch, [[shift], [None]]).image[0, 0]
    # The half that stays ends at 32 after a shift by 12; before, it ended at 20.
    torch.testing.assert_close(both[13:18], shifted[13:18], atol=0.01, rtol=0)
    assert (both[34:] - shifted[34:]).abs().mean() > 0.1


def test_the_mask_that_was_read_may_be_wider_than_the_patch():
    wide = torch.zeros(60, 36, 32, dtype=torch.int64)
    wide[:30] = 1
    transform = AnatomicElastic(shares={1: 0.2})
    np.testing.assert_allclose(displacement(transform, wide), displacement(transform, half()))


def test_overlapping_masks_take_the_smallest_share():
    whole, part = torch.ones(SIZE), torch.ones(SIZE)
    transform = AnatomicElastic(shares={0: 0.5, 1: 0.1})
    free = displacement(Elastic(intervals=8), half())
    bound = displacement(transform, torch.stack([whole, part]))
    np.testing.assert_allclose(bound, 0.1 * free, atol=1e-5)


def test_a_class_goes_before_the_union_that_it_is_of():
    labels = Labels(
        classes=(
            Class(name="stem"),
            Class(name="pons", id=1, parent="stem"),
            Class(name="medulla", id=2, parent="stem"),
        )
    )
    transform = AnatomicElastic(shares={"pons": 0.7, "stem": 0.3, "background": 0.9}, labels=labels)
    assert transform.shares == {0: 0.9, 1: 0.7, 2: 0.3}


def test_ignored_voxels_bend_freely():
    free = displacement(Elastic(intervals=8), half())
    bound = displacement(AnatomicElastic(shares={0: 0.2, 1: 0.2}), half() * 0 - 1)
    np.testing.assert_allclose(bound, free, atol=1e-5)


def test_an_unknown_class_is_refused():
    labels = Labels.from_names({"pons": 1, "medulla": 2})
    with pytest.raises(ValueError) as error:
        AnatomicElastic(shares={"pond": 0.5}, labels=labels)
    assert str(error.value) == (
        "AnatomicElastic: there is no class 'pond' (known: pons, medulla). "
        "Fix: name a class of the data set, or give the number of a channel."
    )


@pytest.mark.parametrize("channel", [-1, 3])
def test_a_channel_that_labels_do_not_have_is_refused(channel):
    labels = Labels.from_names({"pons": 1, "medulla": 2})
    with pytest.raises(ValueError) as error:
        AnatomicElastic(shares={channel: 0.5}, labels=labels)
    assert str(error.value) == (
        f"AnatomicElastic: there is no channel {channel}. "
        "Fix: name a class of the data set; its channels count from 0."
    )


def test_without_masks_there_is_no_anatomy():
    batch = Batch(
        image=torch.zeros(1, 1, 8, 8),
        target=Target(mask=None),
        spacing=(1.0, 1.0),
        cases=("a",),
        step=0,
    )
    chain = Sequence([AnatomicElastic(shares={1: 0.5}, probability=1), Affine()], patch=(8, 8))
    with pytest.raises(ValueError) as error:
        chain(batch, seed=0)
    assert str(error.value) == (
        "AnatomicElastic: the batch has no masks, which tell where structures are. "
        "Fix: use Elastic."
    )


CALM = [[0.0, 0.4, 0.0], [0.3, 0.1], [0.2, 0.0]]


def calm_by_loops(size, place):
    """What the lists take at each voxel, by numpy."""
    total = np.zeros(size)
    for axis, (line, (begin, end), n) in enumerate(zip(CALM, place, size, strict=True)):
        share = begin + (np.arange(n) + 0.5) / n * (end - begin)
        values = np.interp(share, np.linspace(0, 1, len(line)), line)
        total += values.reshape([-1 if a == axis else 1 for a in range(3)])
    return total


@pytest.mark.parametrize("place", [[(0, 1)] * 3, [(0.2, 0.7), (-0.3, 0.4), (0.5, 1.2)]])
def test_tissue_is_calm_by_where_the_patch_lies_in_its_case(place):
    whole = frame(half())
    where = replace(whole, place=torch.tensor(place, dtype=torch.float32), read=SIZE)
    transform = AnatomicElastic(shares={}, calm=CALM)
    found = transform._calm(centred_grid(SIZE, torch.device("cpu")), where)
    np.testing.assert_allclose(found.expand(SIZE), calm_by_loops(SIZE, place), atol=1e-5)


def test_calm_tissue_moves_less():
    place = torch.tensor([[0.0, 1.0]] * 3)
    grid = centred_grid(SIZE, torch.device("cpu"))
    where = replace(frame(half()), place=place, read=SIZE)
    free = displacement(AnatomicElastic(shares={}), half())
    moved = AnatomicElastic(shares={}, calm=[[0.9, 0.9], [0, 0], [0, 0]]).pull(
        grid, STRONGEST, where
    )
    calm = np.stack([(m - g).expand(SIZE).numpy() for m, g in zip(moved, grid, strict=True)])
    np.testing.assert_allclose(calm, 0.1 * free, atol=1e-4)


def test_batches_tell_the_place_of_what_was_read_and_lose_it_when_it_is_cut():
    batch = Batch(
        image=torch.rand(1, 1, *SIZE),
        target=Target(mask=half()[None]),
        spacing=(1.0, 0.8, 1.2),
        cases=("a",),
        step=0,
        place=torch.tensor([[[0.0, 0.5]] * 3]),
    )
    transform = AnatomicElastic(shares={}, calm=[[1.0, 1.0], [0, 0], [0, 0]], probability=1)
    after = Sequence([transform], patch=SIZE)(batch, seed=0)
    torch.testing.assert_close(after.image, batch.image, atol=1e-3, rtol=0)
    assert after.place is None


def test_calm_without_places_or_with_wrong_lists_is_refused():
    grid = centred_grid(SIZE, torch.device("cpu"))
    with pytest.raises(ValueError) as error:
        AnatomicElastic(shares={}, calm=CALM).pull(grid, STRONGEST, frame(half()))
    assert str(error.value) == (
        "AnatomicElastic: calm has 3 lists for 3 axes of patches whose place is unknown. "
        "Fix: one list an axis, and batches with their place; or leave calm out."
    )
    with pytest.raises(ValueError) as error:
        AnatomicElastic(shares={}, calm=[[0.75, 0.2], [0.1, 0.5]])
    assert str(error.value) == "AnatomicElastic: the sum of calm 1.25 must lie within 0 and 1."
    with pytest.raises(ValueError) as error:
        AnatomicElastic(shares={}, calm=[[0.6]])
    assert str(error.value) == (
        "AnatomicElastic: calm has the list [0.6]. Fix: two or more shares."
    )
