"""A crop is what a reader would make of the cropped file."""

from itertools import permutations, product

import nibabel
import numpy as np
import pytest
from thresholds import levels, save

from delineate.inference.cascade_crop import crop, grow, inside
from delineate.io import Volume, read_volume
from delineate.io.volume import Grid

AXES = [
    (order, signs)
    for order, signs in zip(permutations(range(3)), product((1, -1), repeat=3), strict=False)
]


@pytest.mark.parametrize(("order", "signs"), AXES)
def test_a_crop_is_the_volume_that_is_read_of_the_cropped_file(tmp_path, order, signs):
    affine = np.eye(4)
    turned = np.zeros((3, 3))
    turned[list(order), range(3)] = np.array(signs) * (0.7, 1.1, 3.0)
    tilt = np.array([[0.995, -0.0998, 0], [0.0998, 0.995, 0], [0, 0, 1]])
    affine[:3, :3] = tilt @ turned
    affine[:3, 3] = (-20, 13, 5)
    path = save(tmp_path / "a.nii", levels((7, 8, 9)), affine)
    whole = read_volume(path)
    box = ((1, 4), (2, 7), (0, 5))
    found = crop(whole, box)
    cut = found.source
    corner = np.linalg.inv(affine) @ cut.affine[:, 3]
    start = np.rint(corner[:3]).astype(int)
    index = tuple(slice(a, a + n) for a, n in zip(start, cut.shape, strict=True))
    sliced = nibabel.Nifti1Image.load(path).slicer[index]
    nibabel.save(sliced, tmp_path / "b.nii")
    expected = read_volume(tmp_path / "b.nii")
    np.testing.assert_array_equal(found.array, expected.array)
    np.testing.assert_allclose(found.affine, expected.affine, atol=1e-5)
    np.testing.assert_allclose(cut.affine, expected.source.affine, atol=1e-5)
    assert cut.shape == expected.source.shape
    np.testing.assert_array_equal(found.array, whole.array[:, 1:4, 2:7, 0:5])


def test_pictures_are_cropped_too():
    image = levels((1, 9, 7))
    whole = Volume(array=image, affine=np.eye(4), source=Grid(shape=(9, 7), affine=np.eye(4)))
    found = crop(whole, ((2, 5), (3, 7)))
    np.testing.assert_array_equal(found.array, image[:, 2:5, 3:7])
    assert found.source.shape == (3, 4)
    np.testing.assert_array_equal(found.source.affine[:2, 3], (2, 3))


def test_a_margin_is_in_mm_rounded_up_and_ends_at_the_scan():
    affine = np.diag([1.0, 2.0, 4.0, 1.0])
    grid = Grid(shape=(20, 20, 20), affine=affine)
    whole = Volume(array=np.zeros((1, 20, 20, 20), np.uint8), affine=affine, source=grid)
    assert grow(((5, 7), (5, 7), (18, 20)), 5.0, whole) == ((0, 12), (2, 10), (16, 20))
    assert grow(((5, 7), (5, 7), (5, 7)), 0.0, whole) == ((5, 7), (5, 7), (5, 7))
    assert inside(((3, 9), (1, 9), (0, 9)), ((1, 2), (2, 4), (0, 9))) == ((4, 5), (3, 5), (0, 9))
