"""Phantoms of the neck: what is marked is what is seen."""

import numpy as np
import pytest

from delineate.datasets.phantom_spine import CORD, LESION, SPINE, draw_spine

SHAPE = (12, 64, 72)


def test_a_case_depends_on_its_seed_alone_and_holds_cord_and_lesions():
    first, again, other = (draw_spine(np.random.default_rng(s), SHAPE) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.mask, again.mask)
    assert (first.mask != other.mask).any()
    assert first.image.shape == (1, *SHAPE)
    assert set(np.unique(first.mask)) == {0, CORD, LESION}
    assert SPINE.labels.names == ("spinal cord", "lesion")


@pytest.mark.parametrize(("contrast", "brighter"), [("T2", True), ("T1", False)])
def test_lesions_are_bright_in_t2_and_dark_in_t1(contrast, brighter):
    cases = [draw_spine(np.random.default_rng(s), SHAPE, contrast=contrast) for s in range(3)]
    ratios = [
        c.image[0][c.mask == LESION].mean() / c.image[0][c.mask == CORD].mean() for c in cases
    ]
    assert (np.array(ratios) > 1).all() == brighter


def test_beside_the_spine_there_is_no_cord():
    aside = draw_spine(np.random.default_rng(0), SHAPE, view_mm=(20.0, 130.0, 160.0), aside_mm=40.0)
    assert not aside.mask.any()
