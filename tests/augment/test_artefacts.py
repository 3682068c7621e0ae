"""Blur, coarse sampling and bias against reference libraries."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter

from delineate.augment import BiasField, Frame, GaussianBlur, LowResolution, PartialVolume
from delineate.augment.separable import along_axes, smooth_basis


def changed(transform, draws, image, spacing):
    image = image.clone()
    transform.change(image, draws, spacing)
    return image


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_blur_equals_scipy_away_from_the_border_with_each_channels_own_sigma():
    image = noise(2, 2, 24, 22, 20)
    draws = [{"sigma": [0.7, None]}, {"sigma": [None, 1.0]}]
    after = changed(GaussianBlur(), draws, image, (1.0, 1.0, 1.0))
    middle = (slice(6, -6),) * 3
    for slot, channel, sigma in ((0, 0, 0.7), (1, 1, 1.0)):
        expected = gaussian_filter(image[slot, channel].numpy(), sigma, truncate=8)
        np.testing.assert_allclose(
            after[slot, channel].numpy()[middle], expected[middle], atol=1e-5
        )
    assert torch.equal(after[0, 1], image[0, 1])
    assert torch.equal(after[1, 0], image[1, 0])


def test_blur_is_round_in_mm():
    image = torch.zeros(1, 1, 21, 21)
    image[0, 0, 10, 10] = 1
    after = changed(GaussianBlur(), [{"sigma": [1.0]}], image, (1.0, 2.0))
    expected = gaussian_filter(image[0, 0].numpy(), (1.0, 0.5), truncate=8)
    np.testing.assert_allclose(after[0, 0].numpy(), expected, atol=5e-3)


def test_blur_keeps_a_constant_image_up_to_its_border():
    image = torch.full((1, 1, 9, 9), 4.0)
    torch.testing.assert_close(
        changed(GaussianBlur(), [{"sigma": [1.0]}], image, (1.0, 1.0)), image
    )


def test_a_blur_of_no_width_changes_nothing():
    image = noise(1, 1, 9, 9)
    after = changed(GaussianBlur(), [{"sigma": [0.0]}], image, (1.0, 1.0))
    torch.testing.assert_close(after, image)


@pytest.mark.parametrize("scale", [0.5, 0.66, 1.0])
def test_low_resolution_is_nearest_down_and_linear_up(scale):
    image = noise(1, 1, 20, 17, 16)
    after = changed(LowResolution(), [{"scale": [scale]}], image, (1.0, 1.0, 1.0))
    coarse = [round(n * scale) for n in image.shape[2:]]
    down = F.interpolate(image, size=coarse, mode="nearest-exact")
    expected = F.interpolate(down, size=image.shape[2:], mode="trilinear", align_corners=False)
    torch.testing.assert_close(after, expected, atol=1e-4, rtol=0)


def test_low_resolution_leaves_thick_slices_apart():
    image = noise(1, 1, 8, 8, 6)
    image[..., 3] = 100
    after = changed(LowResolution(), [{"scale": [0.5]}], image, (1.0, 1.0, 4.0))
    assert after[..., 3].min() == 100
    assert after[..., 2].max() < 50


def test_a_bias_field_is_smooth_and_keeps_the_darkest_value_dark():
    image = torch.full((1, 2, 24, 24, 24), 2.0)
    image[:, :, 0, 0, 0] = -1.0
    after = changed(BiasField(), [{"strength": 0.3, "seed": 1}], image, (1.0, 1.0, 1.0))
    field = ((after + 1) / 3)[0, 0].numpy()
    assert after[0, 0, 0, 0, 0] == -1
    assert field[4:].min() > 0.2
    assert np.abs(np.diff(field[4:], axis=0)).max() < 0.1
    assert torch.equal(after[0, 0], after[0, 1])


def test_splines_reproduce_straight_lines():
    """Cubic B-splines on a line of control values give that line: the basis is right."""
    line = torch.arange(-1.0, 6.0)[None]
    values = along_axes(line, [smooth_basis(21, 5)])
    torch.testing.assert_close(values[0], torch.linspace(0, 4, 21), atol=1e-5, rtol=0)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_thick_slices_are_means_of_the_tissue_in_them_with_lines_between(axis):
    image = noise(1, 2, 12, 12, 12)
    draw = {"axis": axis, "thickness": 3.0}
    after = changed(PartialVolume(), [draw], image, (1.0, 1.0, 1.0))
    slices = image.unflatten(2 + axis, (4, 3)).mean(3 + axis).movedim(2 + axis, -1)
    lines = F.interpolate(slices.flatten(0, 3)[:, None], size=12, mode="linear")
    expected = lines.view(*slices.shape[:-1], 12).movedim(-1, 2 + axis)
    torch.testing.assert_close(after, expected, atol=1e-5, rtol=0)


def test_slices_that_cut_voxels_share_them_and_keep_a_constant_image():
    flat = torch.full((1, 1, 10, 10), 4.0)
    draw = {"axis": 0, "thickness": 2.7}
    torch.testing.assert_close(changed(PartialVolume(), [draw], flat, (1.0, 1.0)), flat)


def test_a_stack_of_thick_slices_is_thickened_in_its_plane_only():
    frame = Frame(channels=1, patch=(16, 16, 8), spacing=(0.5, 0.5, 4.0))
    draws = [PartialVolume().values(np.random.default_rng(s), frame) for s in range(20)]
    assert {d["axis"] for d in draws} == {0, 1}
