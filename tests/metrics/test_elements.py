"""The areas of marching cubes, from shapes whose surface is known and from triangles."""

from itertools import permutations, product

import numpy as np
import pytest

from delineate.metrics.elements import element_sizes, surface_elements

CORNERS = list(product((0, 1), repeat=3))


def surface(mask, spacing):
    """The area of the surface of a mask."""
    found = surface_elements(np.pad(mask.astype(np.uint8), [(1, 2)] * mask.ndim), spacing)
    return found[1][1].sum()


def code_of(corners):
    return sum(1 << CORNERS.index(corner) for corner in corners)


def test_one_voxel_is_an_octahedron():
    sides = np.array((1.0 * 3.0, 0.5 * 3.0, 0.5 * 1.0))
    found = surface(np.ones((1, 1, 1), bool), (0.5, 1.0, 3.0))
    assert found == pytest.approx(np.linalg.norm(sides))


def test_a_slab_has_two_flat_sides():
    mask = np.zeros((3, 40, 40), bool)
    mask[1] = True
    sizes = surface_elements(np.pad(mask.astype(np.uint8), 1), (2.0, 0.5, 1.5))[1][1]
    assert np.count_nonzero(np.isclose(sizes, 0.75)) == 2 * 39 * 39


def test_a_large_ball_has_its_own_area_within_the_error_of_facets():
    grid = np.stack(np.meshgrid(*[np.arange(-31, 32)] * 3, indexing="ij"))
    found = surface((grid**2).sum(0) <= 30**2, (1.0, 1.0, 1.0))
    assert found == pytest.approx(4 * np.pi * 30**2, rel=0.1)


def test_a_rectangle_in_a_picture_has_cut_corners():
    found = surface(np.ones((4, 7), bool), (2.0, 1.0))
    assert found == pytest.approx(2 * 3 * 2.0 + 2 * 6 * 1.0 + 4 * np.hypot(2.0, 1.0) / 2)


def test_two_diagonal_pixels_are_apart():
    sizes = element_sizes((3.0, 4.0))
    assert sizes[0b0110] == sizes[0b1001] == pytest.approx(2 * 2.5)
    assert sizes[0] == sizes[-1] == 0


def test_inside_and_outside_have_the_same_surface():
    sizes = element_sizes((0.7, 1.1, 2.3))
    np.testing.assert_allclose(sizes, sizes[::-1])


@pytest.mark.parametrize("axes", list(permutations(range(3))))
def test_turned_voxels_have_turned_areas(axes):
    spacing = np.array((0.7, 1.1, 2.3))
    ours, turned = element_sizes(tuple(spacing)), element_sizes(tuple(spacing[list(axes)]))
    for code in range(256):
        inside = [c for i, c in enumerate(CORNERS) if code >> i & 1]
        other = code_of([tuple(c[a] for a in axes) for c in inside])
        assert turned[other] == pytest.approx(ours[code])


def test_four_in_a_row_have_the_area_of_their_triangles():
    """Vertices half-way along the cut edges, four triangles."""
    spacing = np.array((0.7, 1.1, 2.3))
    row = [(0, 1, 1), (1, 1, 1), (1, 1, 0), (1, 0, 0)]
    a1, a2, c1 = (0, 0.5, 1), (0, 1, 0.5), (0.5, 1, 0)
    d1, d2, b1 = (0.5, 0, 0), (1, 0, 0.5), (1, 0.5, 1)
    triangles = np.array([(a1, a2, c1), (a1, c1, d2), (c1, d1, d2), (a1, d2, b1)]) * spacing
    cross = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    area = np.linalg.norm(cross, axis=1).sum() / 2
    assert element_sizes(tuple(spacing))[code_of(row)] == pytest.approx(area)


def test_three_in_a_plane_have_the_area_of_their_triangles():
    spacing = np.array((0.7, 1.1, 2.3))
    m1, m2, m3 = (0.5, 1, 1), (0.5, 1, 0), (0.5, 0, 1)
    m4, m5 = (1, 0.5, 0), (1, 0, 0.5)
    triangles = np.array([(m1, m2, m3), (m2, m4, m5), (m2, m5, m3)]) * spacing
    cross = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    area = np.linalg.norm(cross, axis=1).sum() / 2
    corners = [(1, 1, 1), (1, 1, 0), (1, 0, 1)]
    assert element_sizes(tuple(spacing))[code_of(corners)] == pytest.approx(area)


def test_classes_that_touch_have_their_own_surfaces():
    rng = np.random.default_rng(6)
    image = rng.integers(0, 4, (7, 6, 8)).astype(np.uint8)
    padded = np.pad(image, [(1, 2)] * 3)
    together = surface_elements(padded, (1.0, 2.0, 0.5))
    for number in (1, 2, 3):
        alone = surface_elements((padded == number).astype(np.uint8), (1.0, 2.0, 0.5))[1]
        order = np.argsort(together[number][0])
        np.testing.assert_array_equal(together[number][0][order], np.sort(alone[0]))
        np.testing.assert_allclose(together[number][1][order], alone[1][np.argsort(alone[0])])
