"""What phantoms are drawn with, against closed forms."""

import numpy as np
import pytest

from delineate.datasets.canvas import Canvas, blend, draw_canvas, ellipsoid, smooth_noise


def plain(n: int = 41) -> Canvas:
    points = np.indices((n, n, n), np.float32) - (n - 1) / 2
    return Canvas(points=points, spacing=(1.0, 1.0, 1.0), width=1.0)


def test_a_ball_has_its_volume_and_its_depth_in_mm() -> None:
    depth = ellipsoid(plain(), (0, 0, 0), (15, 15, 15))
    assert (depth > 0).sum() == pytest.approx(4 / 3 * np.pi * 15**3, rel=0.01)
    assert depth[20, 20, 20] == pytest.approx(15)
    assert depth[20, 20, 25] == pytest.approx(10)


def test_a_tilt_keeps_the_volume_and_turns_the_long_axis() -> None:
    upright = ellipsoid(plain(), (0, 0, 0), (4, 6, 14))
    turned = ellipsoid(plain(), (0, 0, 0), (4, 6, 14), tilt=90)
    np.testing.assert_allclose(turned, upright.transpose(2, 1, 0), atol=1e-4)


def test_painting_shares_the_border_voxel() -> None:
    values = np.zeros(3, np.float32)
    blend(values, np.array([-1.0, 0.0, 1.0], np.float32), 10.0, 1.0)
    np.testing.assert_allclose(values, [0, 5, 10])


def test_noise_has_unit_deviation_and_is_smooth() -> None:
    rng = np.random.default_rng(0)
    fields = np.stack([smooth_noise(rng, (24, 24, 24), knots=4) for _ in range(40)])
    assert fields.std() == pytest.approx(1, rel=0.1)
    assert np.abs(np.diff(fields, axis=1)).max() < 1.2


def test_a_canvas_is_near_the_view_and_differs_from_case_to_case() -> None:
    canvases = [
        draw_canvas(np.random.default_rng(i), (20, 16, 12), view_mm=(200, 160, 120), warp_mm=0)
        for i in range(8)
    ]
    for canvas in canvases:
        np.testing.assert_allclose(canvas.spacing, (10, 10, 10), rtol=0.09)
        assert np.abs(canvas.points.mean(axis=(1, 2, 3))).max() < 7
    assert len({canvas.spacing for canvas in canvases}) == 8
