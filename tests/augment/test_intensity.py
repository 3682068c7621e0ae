"""Grey values against closed forms."""

import numpy as np
import pytest
import torch

from delineate.augment import (
    Brightness,
    Contrast,
    Gamma,
    GaussianNoise,
    IntensityShift,
    RicianNoise,
)
from delineate.augment.transform import around_one

SPACING = (1.0, 1.0, 1.0)


def changed(transform, draw, image):
    image = image.clone()
    transform.change(image, [draw] * len(image), SPACING)
    return image


def image():
    return torch.randn(2, 2, 12, 11, 10, generator=torch.Generator().manual_seed(0)) * 2 + 5


def test_noise_has_the_drawn_deviation_and_no_mean():
    noise = changed(GaussianNoise(), {"deviation": 0.3, "seed": 4}, image()) - image()
    assert noise.std().item() == pytest.approx(0.3, rel=0.05)
    assert noise.mean().item() == pytest.approx(0, abs=0.02)


def test_brightness_multiplies_each_channel():
    after = changed(Brightness(), {"factor": [0.8, 1.2]}, image())
    torch.testing.assert_close(after, image() * torch.tensor([0.8, 1.2]).view(1, 2, 1, 1, 1))


def test_contrast_stretches_about_the_mean_within_the_old_range():
    before, after = image()[0, 0], changed(Contrast(), {"factor": [1.25, 0.75]}, image())[0, 0]
    expected = ((before - before.mean()) * 1.25 + before.mean()).clamp(before.min(), before.max())
    torch.testing.assert_close(after, expected)


def test_gamma_is_the_power_law_with_mean_and_deviation_restored():
    before, after = image()[0, 0], changed(Gamma(), {"power": [0.7, 1.5]}, image())[0, 0]
    low, high = before.min(), before.max()
    bent = ((before - low) / (high - low)) ** 0.7
    expected = (bent - bent.mean()) / bent.std() * before.std() + before.mean()
    torch.testing.assert_close(after, expected, atol=1e-4, rtol=1e-4)


def test_inverted_gamma_is_gamma_on_the_negative():
    draw = {"power": [0.7, 1.5]}
    inverted = changed(Gamma(inverted=True), draw, image())
    negative = -changed(Gamma(), draw, -image())
    torch.testing.assert_close(inverted, negative, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("transform", [Contrast(), Gamma(), Gamma(inverted=True)])
def test_a_constant_image_stays_as_it_is(transform):
    flat = torch.full((1, 1, 4, 4, 4), 3.0)
    key = "factor" if isinstance(transform, Contrast) else "power"
    torch.testing.assert_close(changed(transform, {key: [0.7]}, flat), flat)


def test_factors_are_equally_often_below_and_above_one():
    rng = np.random.default_rng(0)
    values = np.array([around_one(rng, (0.7, 1.5)) for _ in range(4000)])
    assert np.mean(values < 1) == pytest.approx(0.5, abs=0.03)
    assert values[values < 1].mean() == pytest.approx(0.85, abs=0.01)
    assert values[values > 1].mean() == pytest.approx(1.25, abs=0.01)


def test_a_range_on_one_side_of_one_is_uniform():
    rng = np.random.default_rng(0)
    values = [around_one(rng, (1.1, 1.5)) for _ in range(2000)]
    assert min(values) >= 1.1
    assert np.mean(values) == pytest.approx(1.3, abs=0.01)


def test_where_there_is_no_signal_rician_noise_has_rayleighs_mean_and_deviation():
    after = changed(
        RicianNoise(), {"deviation": 0.5, "seed": 3}, torch.full((1, 1, 40, 40, 40), 2.0)
    )
    excess = after - 2
    assert excess.min() >= 0
    assert excess.mean().item() == pytest.approx(0.5 * np.sqrt(np.pi / 2), rel=0.02)
    assert excess.std().item() == pytest.approx(0.5 * np.sqrt(2 - np.pi / 2), rel=0.02)


def test_far_above_the_darkest_value_rician_noise_is_normal():
    bright = torch.full((1, 1, 40, 40, 40), 20.0)
    bright[0, 0, 0, 0, 0] = 0
    after = changed(RicianNoise(), {"deviation": 0.5, "seed": 3}, bright)[0, 0, 1:]
    assert after.mean().item() == pytest.approx(20 + 0.5**2 / (2 * 20), abs=0.01)
    assert after.std().item() == pytest.approx(0.5, rel=0.02)


def test_a_shift_adds_to_each_channel():
    after = changed(IntensityShift(), {"offset": [0.5, -1.0]}, image())
    torch.testing.assert_close(after, image() + torch.tensor([0.5, -1.0]).view(1, 2, 1, 1, 1))
