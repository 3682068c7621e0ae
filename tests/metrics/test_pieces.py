import numpy as np
import pytest
from scipy import ndimage

from delineate.metrics.pieces import pieces_of, shared_voxels

RNG = np.random.default_rng(12)


def labelled(image, number, connectivity):
    structure = ndimage.generate_binary_structure(image.ndim, connectivity)
    return ndimage.label(image == number, structure)


@pytest.mark.parametrize("shape", [(9, 8, 11), (1, 7, 6), (13, 12)])
@pytest.mark.parametrize("connectivity", [1, 2, 3])
def test_pieces_of_every_number_equal_those_of_a_flood(shape, connectivity):
    connectivity = min(connectivity, len(shape))
    for share in (0.2, 0.5, 0.9):
        image = RNG.choice(4, shape, p=[1 - share, *[share / 3] * 3]).astype(np.uint8)
        found = pieces_of(image, connectivity)
        for number in (1, 2, 3):
            pieces, count = labelled(image, number, connectivity)
            sizes = np.bincount(pieces.ravel())[1:]
            ours = found.sizes[found.classes == number]
            assert len(ours) == count
            np.testing.assert_array_equal(np.sort(ours), np.sort(sizes))


def test_shared_voxels_equal_those_counted_one_by_one():
    images = RNG.integers(0, 3, (2, 6, 7, 8)).astype(np.uint8)
    first, second = (pieces_of(image, 1) for image in images)
    ours, theirs, voxels = shared_voxels(first, second)
    both = (images[0] == images[1]) & (images[0] > 0)
    assert voxels.sum() == both.sum()
    np.testing.assert_array_equal(first.classes[ours], second.classes[theirs])
    counts = []
    for number in (1, 2):
        one, other = (labelled(image, number, 1)[0] for image in images)
        inside = (one > 0) & (other > 0)
        pairs = np.stack((one[inside], other[inside]))
        counts += np.unique(pairs, axis=1, return_counts=True)[1].tolist()
    assert sorted(voxels.tolist()) == sorted(counts)


def test_nothing_has_no_pieces():
    for shape in ((0, 0, 0), (3, 4, 5), (4, 5)):
        empty = pieces_of(np.zeros(shape, np.uint8), 1)
        assert empty.sizes.shape == (0,)
        assert shared_voxels(empty, empty)[2].shape == (0,)
