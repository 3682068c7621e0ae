"""Gradients against the documented formulas, their seed, and patches that have their place's."""

import numpy as np
import pytest

from delineate.systems.brainstem.morphogen import (
    MorphogenConfig,
    calm_lists,
    deformation_weight,
    fields,
)

SIZE = (9, 14, 23)
SILENT = MorphogenConfig(noise_amplitude=0.0)


def stretched(values):
    return (values - values.min()) / (values.max() - values.min())


def test_without_noise_the_fields_are_the_documented_functions():
    x, y, z = (np.linspace(a, 1, n) for a, n in zip((-1, 0, 0), SIZE, strict=True))
    expected = (
        stretched(np.exp(-z / 0.15) + 0.9 * np.exp(-(1 - z) / 0.15))[None, None],
        stretched(0.8 * np.exp(-y / 0.2) + 0.7 * np.exp(-(1 - y) / 0.2))[None, :, None],
        stretched(np.exp(-abs(x) / 0.25))[:, None, None],
    )
    found = fields(SIZE, 0, SILENT)
    assert found.shape == (3, *SIZE)
    assert found.dtype == np.float32
    for own, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(own, np.broadcast_to(wanted, SIZE), atol=1e-5)


def test_noise_has_a_seed_is_another_in_each_field_and_stays_within_0_and_1():
    strong = MorphogenConfig(noise_amplitude=20.0)
    one, same, other = (fields((40, 40, 40), seed, strong) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert abs(one - other).max() > 0.05
    assert one.min() == 0
    assert one.max() == 1
    noises = [own - clean for own, clean in zip(one, fields((40, 40, 40), 1, SILENT), strict=True)]
    assert abs(np.corrcoef([n.ravel() for n in noises])[0, 1:]).max() < 0.95


@pytest.mark.parametrize("frequency", [0.05, 0.5])
def test_noise_is_that_of_smoothed_independent_noise(frequency):
    """Its deviation, and how alike neighbours are: exp(-d^2 / 4 sigma^2)."""
    from delineate.systems.brainstem.morphogen import _smooth_noise

    wish, sigma = MorphogenConfig(noise_frequency=frequency), 1 / frequency
    size = (64, 64, 64) if sigma < 3 else (200, 200, 60)
    found = []
    for seed in range(6):
        noise = _smooth_noise(size, np.random.default_rng(seed), wish)
        found.append((noise.std(), np.corrcoef(noise[:-2].ravel(), noise[2:].ravel())[0, 1]))
    deviation, alike = np.mean(found, axis=0)
    expected = 0.1 * (2 * sigma * np.sqrt(np.pi)) ** -1.5
    assert deviation == pytest.approx(expected, rel=0.15 if sigma < 3 else 0.4)
    assert alike == pytest.approx(np.exp(-4 / (4 * sigma**2)), abs=0.03)


def test_weights_of_deformation_are_the_documented_product():
    x, y, z = np.meshgrid(
        *(np.linspace(a, 1, n) for a, n in zip((-1, 0, 0), SIZE, strict=True)), indexing="ij"
    )
    combined = 0.4 * (1 - 0.9 * z) + 0.3 * (1 - 0.9 * y) + 0.3 * (1 - abs(x))
    np.testing.assert_allclose(deformation_weight(SIZE), 1 - 0.5 * combined, atol=1e-6)


def test_part_of_a_volume_has_the_gradients_of_its_place():
    whole = calm_lists()
    part = calm_lists(((0.25, 1.0), (0.0, 0.5), (0.1, 0.3)))
    for line, own, (low, high) in zip(
        whole, part, ((0.25, 1.0), (0.0, 0.5), (0.1, 0.3)), strict=True
    ):
        places = np.linspace(0, 1, 40)
        expected = np.interp(low + places * (high - low), np.linspace(0, 1, len(line)), line)
        np.testing.assert_allclose(
            np.interp(places, np.linspace(0, 1, len(own)), own), expected, atol=2e-3
        )


def test_a_decay_of_nothing_is_refused():
    with pytest.raises(ValueError, match="Fix: numbers above 0; noise_amplitude may be 0"):
        MorphogenConfig(ap_decay=0.0)
