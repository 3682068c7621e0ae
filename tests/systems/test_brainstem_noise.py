"""Each of the five kinds of noise is as strong as documented, and one comes as often as another."""

import json

import numpy as np
import pytest
import torch
from scipy.ndimage import shift as shift_by

from delineate.augment import Frame, Sequence
from delineate.contracts import Batch, Target
from delineate.systems.brainstem.noise import Bias, NoiseByDecibel, RelativeRician, Shake, one_noise

SIZE = (24, 20, 16)
FRAME = Frame(channels=1, patch=SIZE, spacing=(0.2,) * 3)


def smooth_image(channels=1):
    lines = [torch.linspace(0, 3, n) for n in SIZE]
    grid = torch.meshgrid(*lines, indexing="ij")
    return torch.stack([torch.sin(grid[c % 3]) + 0.3 * grid[2] for c in range(channels)])[None]


def changed(part, draw, image=None):
    image = smooth_image() if image is None else image
    after = image.clone()
    part.change(after, [draw], FRAME.spacing)
    return image, after


@pytest.mark.parametrize("ratio", [15.0, 30.0])
def test_gaussian_noise_lies_so_many_decibels_below_the_signal(ratio):
    image, after = changed(NoiseByDecibel(), {"snr_db": ratio, "seed": 0})
    power = image.square().mean() / (after - image).square().mean()
    assert 10 * power.log10() == pytest.approx(ratio, abs=0.15)


def test_rician_noise_is_a_share_of_the_range_of_its_channel():
    draw = {"share": 0.05, "seed": 0}
    image, after = changed(
        RelativeRician(), draw, smooth_image(2) + torch.tensor([5.0, -3.0]).view(2, 1, 1, 1)
    )
    for before, now in zip(image[0], after[0], strict=True):
        span = before.max() - before.min()
        bright = before > before.min() + 0.5 * span
        assert (now - before)[bright].std() == pytest.approx(0.05 * float(span), rel=0.05)
        assert now.min() >= before.min()
    assert not torch.equal(after[0, 0] - image[0, 0], after[0, 1] - image[0, 1])


def test_the_bias_is_smooth_has_its_deviation_and_leaves_the_darkest_value():
    image, after = changed(Bias(), {"seed": 1}, smooth_image(2))
    low = image.flatten(2).amin(2).view(1, 2, 1, 1, 1)
    field = (after - low)[0] / (image - low)[0].clamp(min=1e-6)
    known = (image - low)[0] > 0.2
    assert field[0][known[0]].std() == pytest.approx(0.3, rel=0.2)
    both = known.all(0)
    torch.testing.assert_close(field[0][both], field[1][both], rtol=1e-3, atol=1e-3)
    assert field.diff(dim=1)[:, known[0][1:] & known[0][:-1]].abs().mean() < 0.15


def test_motion_blends_with_the_image_moved_by_less_than_a_voxel():
    draw = {"shift": [0.4, -0.5, 0.1], "blend": 0.8}
    image, after = changed(Shake(), draw)
    moved = shift_by(image[0, 0].numpy(), [-s for s in draw["shift"]], order=1, mode="nearest")
    expected = 0.8 * image[0, 0].numpy() + 0.2 * moved
    np.testing.assert_allclose(after[0, 0].numpy(), expected, atol=1e-5)


def test_draws_lie_in_the_documented_ranges():
    rng = np.random.default_rng(0)
    ratios = [NoiseByDecibel().values(rng, FRAME)["snr_db"] for _ in range(300)]
    shares = [RelativeRician().values(rng, FRAME)["share"] for _ in range(300)]
    moves = [Shake().values(rng, FRAME) for _ in range(300)]
    blends, shifts = [m["blend"] for m in moves], np.array([m["shift"] for m in moves])
    limits = ((ratios, 15, 30), (shares, 0.02, 0.08), (blends, 0.7, 0.9), (shifts, -0.5, 0.5))
    for values, low, high in limits:
        assert low <= np.min(values) < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < np.max(values) <= high


def batch_of(image, *rows):
    some = list(rows)
    return Batch(
        image=image[some],
        target=Target(mask=torch.zeros(len(some), *SIZE, dtype=torch.int64)),
        spacing=FRAME.spacing,
        cases=tuple(str(r) for r in some),
        step=3,
    )


def test_a_batch_equals_its_samples_and_every_draw_can_be_replayed_from_json():
    part = one_noise(probability=0.8, channels=1)
    image = torch.randn(16, 4, *SIZE, generator=torch.Generator().manual_seed(0))
    batch, chain = batch_of(image, *range(16)), Sequence([part], patch=SIZE)
    draws = json.loads(json.dumps(chain.draw(batch, seed=2)))
    together = chain.apply(batch, draws).image
    assert {d["part"] for d in draws[0] if d} == set(range(5))
    for slot, draw in enumerate(draws[0]):
        alone = chain.apply(batch_of(image, slot), [[draw]]).image[0]
        assert torch.equal(alone, together[slot])
        assert torch.equal(alone[1:], image[slot, 1:])
        assert torch.equal(alone[0], image[slot, 0]) == (draw is None)
        other = image[slot : slot + 1].clone()  # what accelerators do
        if draw is not None:
            part.change(other, [draw], FRAME.spacing)
        torch.testing.assert_close(other[0], alone)


def test_all_five_kinds_come_as_often():
    rng, part = np.random.default_rng(0), one_noise(probability=0.6)
    drawn = [draw["part"] for _ in range(3000) if (draw := part.draw(rng, FRAME)) is not None]
    assert len(drawn) / 3000 == pytest.approx(0.6, abs=0.03)
    np.testing.assert_allclose(np.bincount(drawn, minlength=5) / len(drawn), 0.2, atol=0.035)
