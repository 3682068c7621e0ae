"""Geometry: one resampling, in millimetres, with labels that stay on their tissue."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from delineate.augment import Affine, Elastic, Frame, Sequence
from delineate.augment.geometry import _rotation
from delineate.augment.resample import sample_ids, sample_linear
from delineate.contracts import Batch, Target


def make_batch(image, mask=None, *, spacing=None, distance=None):
    space = tuple(image.shape[2:])
    mask = torch.zeros(len(image), *space, dtype=torch.int8) if mask is None else mask
    return Batch(
        image=image,
        target=Target(mask=mask, distance=distance),
        spacing=spacing or (1.0,) * len(space),
        cases=("case",) * len(image),
        step=0,
    )


def affine(batch, patch, *, rotation=None, scale=None, shift=None):
    dims = len(patch)
    draw = {
        "rotation_degrees": rotation or [0.0] * (1 if dims == 2 else 3),
        "scale": scale or [1.0] * dims,
        "shift": shift or [0.0] * dims,
    }
    return Sequence([Affine()], patch=patch).apply(batch, [[draw] * len(batch.image)])


def grid_mm(size, spacing):
    axes = [(np.arange(n) - (n - 1) / 2) * mm for n, mm in zip(size, spacing, strict=True)]
    return np.meshgrid(*axes, indexing="ij")


def ball(size, spacing, radius, offset=(0, 0, 0)):
    axes = grid_mm(size, spacing)
    return sum((x - o) ** 2 for x, o in zip(axes, offset, strict=False)) <= radius**2


@pytest.mark.parametrize("turn", range(3))
def test_a_quarter_turn_in_three_dimensions_is_exact(turn):
    plane = [(1, 2), (0, 2), (0, 1)][turn]
    image = torch.randn(1, 2, 9, 9, 9)
    mask = torch.randint(-1, 4, (1, 9, 9, 9), dtype=torch.int8)
    rotation = [90.0 if n == turn else 0.0 for n in range(3)]
    after = affine(make_batch(image, mask), (9, 9, 9), rotation=rotation)
    turned = [torch.rot90(mask, k, [a + 1 for a in plane]) for k in (1, -1)]
    images = [torch.rot90(image, k, [a + 2 for a in plane]) for k in (1, -1)]
    match = [torch.equal(after.target.mask, t) for t in turned]
    assert sum(match) == 1
    torch.testing.assert_close(after.image, images[match.index(True)], atol=1e-3, rtol=0)


@pytest.mark.parametrize("dims", [2, 3])
def test_any_affine_map_equals_scipy(dims):
    size, patch, spacing = ((30, 26, 22), (20, 18, 16), (1.0, 1.5, 2.0))
    size, patch, spacing = size[:dims], patch[:dims], spacing[:dims]
    image = torch.randn(1, 1, *size)
    angles = [25.0] if dims == 2 else [10.0, -20.0, 15.0]
    scale, shift = [0.8, 1.2, 1.1][:dims], [0.1, -0.05, 0.02][:dims]
    after = affine(
        make_batch(image, spacing=spacing), patch, rotation=angles, scale=scale, shift=shift
    )
    points = np.stack(grid_mm(patch, spacing)).reshape(dims, -1)
    moved = np.array(shift) * patch * np.array(spacing)
    origin = _rotation(angles, dims).T @ (points - moved[:, None]) / np.array(scale)[:, None]
    middle = (np.array(size) - patch) // 2 + (np.array(patch) - 1) / 2
    index = origin / np.array(spacing)[:, None] + middle[:, None]
    padded, rim = np.pad(image[0, 0].numpy(), 1), 1
    index = np.clip(index + rim, 0, np.array(padded.shape)[:, None] - 1)
    expected = map_coordinates(padded, index, order=1).reshape(patch)
    np.testing.assert_allclose(after.image[0, 0].numpy(), expected, atol=2e-3)


def test_scaling_alone_equals_the_general_path():
    image = torch.randn(1, 1, 20, 18, 16)
    mask = torch.randint(0, 3, (1, 20, 18, 16))
    batch = make_batch(image, mask)
    fast = affine(batch, (14, 14, 12), scale=[0.8, 0.8, 0.8])
    general = affine(batch, (14, 14, 12), scale=[0.8] * 3, rotation=[1e-5, 1e-5, 1e-5])
    torch.testing.assert_close(fast.image, general.image, atol=2e-3, rtol=0)
    assert (fast.target.mask != general.target.mask).float().mean() < 0.01


def test_an_enlarged_ball_has_the_enlarged_radius():
    mask = torch.from_numpy(ball((40, 40, 40), (1, 1, 1), 8)).to(torch.int8)[None]
    after = affine(make_batch(torch.zeros(1, 1, 40, 40, 40), mask), (40,) * 3, scale=[1.5] * 3)
    expected = ball((40, 40, 40), (1, 1, 1), 12)
    assert dice(after.target.mask[0].numpy() > 0, expected) > 0.96


def test_a_shift_moves_tissue_towards_higher_indices():
    image = torch.zeros(1, 1, 20, 20)
    image[0, 0, 10, 10] = 1
    after = affine(make_batch(image), (20, 20), shift=[0.1, -0.25])
    assert after.image[0, 0, 12, 5].item() == pytest.approx(1)


def test_a_ball_in_mm_stays_a_ball_when_voxels_are_long():
    """Turned in voxels, it would become an egg."""
    size, spacing = (40, 40, 16), (1.0, 1.0, 2.5)
    truth = ball(size, spacing, 12)
    mask = torch.from_numpy(truth).to(torch.int8)[None]

    def turned(spacing):
        batch = make_batch(torch.zeros(1, 1, *size), mask, spacing=spacing)
        return affine(batch, size, rotation=[35.0, 0.0, 0.0]).target.mask[0].numpy() > 0

    assert dice(turned(spacing), truth) > 0.95
    assert dice(turned((1.0, 1.0, 1.0)), truth) < 0.9


@pytest.mark.parametrize("dims", [2, 3])
def test_mask_and_image_move_together(dims):
    size = (32, 30, 28)[:dims]
    blob = ball(size, (1,) * dims, 8, offset=(3, -2, 1)[:dims])
    image = torch.from_numpy(blob).float()[None, None].repeat(8, 1, *(1 for _ in size))
    batch = make_batch(image, image[:, 0].to(torch.int8))
    chain = Sequence(
        [Affine(probability=1, translation=0.1), Elastic(probability=1)],
        patch=[n - 4 for n in size],
    )
    after = chain(batch, seed=3)
    inside = after.image[:, 0] > 0.5
    for of_image, of_mask in zip(inside, after.target.mask > 0, strict=True):
        assert dice(of_image.numpy(), of_mask.numpy()) > 0.97


def test_masks_never_invent_classes_and_keep_ignored_voxels():
    mask = torch.full((4, 24, 24, 24), 5, dtype=torch.int8)
    mask[:, :12] = -1
    batch = make_batch(torch.randn(4, 1, 24, 24, 24), mask)
    after = Sequence([Affine(probability=1)], patch=(24, 24, 24))(batch, seed=1).target.mask
    assert set(after.unique().tolist()) == {-1, 0, 5}


@pytest.mark.parametrize("dims", [2, 3])
def test_ids_are_the_argmax_of_interpolated_one_hot_masks(dims):
    size = (14, 12, 10)[:dims]
    mask = torch.randint(-1, 3, size, generator=torch.Generator().manual_seed(0))
    where = [torch.rand(9, 8, 7, generator=torch.Generator().manual_seed(a)) for a in range(dims)]
    where = [(w * 1.3 - 0.15) * n for w, n in zip(where, size, strict=True)]
    shares = torch.stack(
        [
            sample_linear((mask == k)[None].float(), _as_grid(where), zero_outside=True)[0]
            for k in IDS
        ]
    )
    shares[1] += 1 - shares.sum(0)  # what lies outside is background
    expected = torch.tensor(IDS)[shares.argmax(0)]
    sure = shares.topk(2, dim=0).values.diff(dim=0)[0].abs() > 1e-3
    found = sample_ids(mask, _as_grid(where))
    assert torch.equal(found[sure], expected[sure])
    assert sure.float().mean() > 0.95


def turned_shape(seed, inside):
    """Two masks of a turned shape, by largest share and by nearest voxel, and the truth."""
    rng = np.random.default_rng(seed)
    turn = torch.from_numpy(_rotation(rng.uniform(-30, 30, 3).tolist(), 3)).float()
    centre = torch.from_numpy(rng.uniform(-0.5, 0.5, 3)).float().view(3, 1, 1, 1)
    grid = torch.stack(torch.meshgrid(*[torch.arange(32.0) - 15.5] * 3, indexing="ij"))
    origin = torch.einsum("ab,bijk->aijk", turn, grid)
    mask = inside(grid - centre).int()
    where = list(origin + 15.5)
    nearest = mask[tuple(w.round().long().clamp(0, 31) for w in where)]
    seen = grid.abs().amax(0) < 9  # where the source has not ended yet
    shapes = sample_ids(mask, where), nearest, inside(origin - centre)
    return [((s > 0) & seen).numpy() for s in shapes]


@pytest.mark.parametrize(("kind", "least_gain"), [("ball", 0.03), ("tube", 0.01), ("plate", 0.0)])
def test_the_largest_share_keeps_turned_shapes_better_than_the_nearest_voxel(kind, least_gain):
    inside = {
        "ball": lambda p: (p**2).sum(0) <= 2**2,
        "tube": lambda p: (p[1:] ** 2).sum(0) <= 2**2,
        "plate": lambda p: p[2].abs() <= 1,
    }[kind]
    turned = [turned_shape(seed, inside) for seed in range(6)]
    by_share = np.mean([dice(share, truth) for share, _, truth in turned])
    by_nearest = np.mean([dice(nearest, truth) for _, nearest, truth in turned])
    assert by_share - by_nearest >= least_gain - 1e-3


IDS = [-1, 0, 1, 2]


def _as_grid(where):
    """Positions on a result of as many axes as the mask has."""
    return where if len(where) == 3 else [w.flatten(1) for w in where]


def test_overlapping_masks_stay_zero_or_one():
    batch = make_batch(torch.randn(2, 1, 16, 16), torch.rand(2, 3, 16, 16).round())
    after = Sequence([Affine(probability=1)], patch=(12, 12))(batch, seed=1).target.mask
    assert after.shape == (2, 3, 12, 12)
    assert set(after.unique().tolist()) == {0.0, 1.0}


def test_of_hundreds_of_classes_each_moves_as_it_does_alone():
    masks, distance = torch.zeros(1, 40, 16, 16), torch.zeros(1, 40, 16, 16)
    for channel in range(0, 40, 2):  # more than are interpolated at once
        masks[0, channel, channel // 4 : 8, 3:12] = 1
        distance[0, channel] = torch.randn(16, 16)
    chain = Sequence([Affine(probability=1)], patch=(12, 12))

    def turned(*channels):
        image, rows = torch.zeros(1, 1, 16, 16), list(channels)
        return chain(make_batch(image, masks[:, rows], distance=distance[:, rows]), seed=1).target

    together = turned(*range(40))
    for channel in (0, 1, 2, 37, 38):
        alone = turned(channel)
        assert torch.equal(together.mask[:, [channel]], alone.mask)
        torch.testing.assert_close(together.distance[:, [channel]], alone.distance)
    assert together.mask[0, 0].any()
    assert not together.distance[0, 1].any()


def test_beyond_what_was_read_lies_zero_and_background():
    batch = make_batch(torch.full((1, 1, 20, 20), 7.0), torch.ones(1, 20, 20, dtype=torch.int8))
    after = affine(batch, (20, 20), scale=[0.5, 0.5])
    assert after.image[0, 0, 0].abs().max() == 0
    assert after.target.mask[0, 0].max() == 0
    assert after.image[0, 0, 10, 10] == 7


def test_distances_grow_with_the_structures():
    x, y, z = grid_mm((32, 32, 32), (1, 1, 1))
    distance = torch.from_numpy(np.sqrt(x**2 + y**2 + z**2) - 6).float()[None, None]
    batch = make_batch(torch.zeros(1, 1, 32, 32, 32), distance=distance)
    after = affine(batch, (16, 16, 16), scale=[1.3] * 3).target.distance[0, 0].numpy()
    x, y, z = grid_mm((16, 16, 16), (1, 1, 1))
    expected = np.sqrt(x**2 + y**2 + z**2) - 6 * 1.3
    far = np.sqrt(x**2 + y**2 + z**2) > 2
    np.testing.assert_allclose(after[far], expected[far], atol=0.2)


@pytest.mark.parametrize("name", ["Affine", "Elastic"])
def test_a_stack_of_thick_slices_never_mixes_slices(name):
    image = torch.arange(8.0).expand(4, 1, 24, 24, 8).clone()
    transform = {"Affine": Affine, "Elastic": Elastic}[name](probability=1)
    batch = make_batch(image, spacing=(0.5, 0.5, 4.0))
    after = Sequence([transform], patch=(12, 12, 8))(batch, seed=2).image
    inside = after[:, :, 4:8, 4:8]
    torch.testing.assert_close(inside, image[:, :, 4:8, 4:8], atol=1e-2, rtol=0)


@pytest.mark.parametrize("size", [(20, 24), (16, 20, 24)])
def test_the_strongest_bending_never_folds(size):
    frame = Frame(channels=1, patch=size, spacing=(1.0, 0.8, 1.2)[: len(size)])
    elastic = Elastic(strength=(0.4, 0.4), probability=1)
    for seed in range(10):
        grid = [
            torch.arange(float(n)).view([n if a == axis else 1 for a in range(len(size))])
            for axis, n in enumerate(size)
        ]
        moved = elastic.pull(grid, {"strength": 0.4, "seed": seed}, frame)
        fields = np.stack([m.expand(size).numpy() for m in moved])
        slopes = np.stack([np.stack(np.gradient(f)) for f in fields])
        assert np.linalg.det(np.moveaxis(slopes, (0, 1), (-2, -1))).min() > 0


def test_a_strength_that_folds_is_refused():
    with pytest.raises(ValueError) as error:
        Elastic(strength=(0.1, 0.6))
    assert str(error.value) == (
        "Elastic: strength (0.1, 0.6) must lie within 0 and 0.4; beyond, tissue folds."
    )


def test_half_of_the_scales_shrink_and_half_enlarge():
    frame = Frame(channels=1, patch=(8, 8, 8), spacing=(1.0, 1.0, 1.0))
    rng = np.random.default_rng(0)
    draws = [Affine(probability=1).draw(rng, frame)["scale"][0] for _ in range(2000)]
    assert np.mean(np.array(draws) < 1) == pytest.approx(0.5, abs=0.04)
    assert min(draws) >= 0.7
    assert max(draws) <= 1.4


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())
