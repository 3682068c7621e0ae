from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from delineate.io import Grid, Volume, read_mask, read_volume, to_source, write_mask
from delineate.io.orient import canonical, contiguous
from delineate.io.volume import Stored

ORIENTATIONS = [
    (order, flips) for order in permutations(range(3)) for flips in product((1, -1), repeat=3)
]
SHAPE, SPACING = (5, 6, 7), np.array([0.9, 1.1, 2.5])


def reference():
    """A volume in RAS+, slightly oblique, and a mask of three labels with no symmetry."""
    rng = np.random.default_rng(3)
    array = rng.integers(-500, 500, SHAPE).astype(np.int16)
    mask = rng.integers(0, 4, SHAPE).astype(np.uint8)
    angle = 0.2
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn * SPACING
    affine[:3, 3] = (-40, 12, 33)
    return array, mask, affine


def reoriented(array, affine, order, flips):
    """The same scan saved with other axes, by nibabel's own machinery."""
    steps = np.column_stack([order, flips])
    moved = nib.orientations.apply_orientation(array, steps)
    return moved, affine @ nib.orientations.inv_ornt_aff(steps, array.shape)


def test_all_48_orientations_give_one_array_and_masks_on_their_own_grids(tmp_path):
    array, mask, affine = reference()
    assert len(ORIENTATIONS) == 48
    for order, flips in ORIENTATIONS:
        moved, own_affine = reoriented(array, affine, order, flips)
        nib.save(nib.Nifti1Image(moved, own_affine), tmp_path / "scan.nii.gz")
        volume = read_volume(tmp_path / "scan.nii.gz")
        np.testing.assert_array_equal(volume.array[0], array)
        np.testing.assert_allclose(volume.affine, affine, atol=1e-4)
        write_mask(tmp_path / "mask.nii.gz", mask, like=volume)

        written, scan = nib.load(tmp_path / "mask.nii.gz"), nib.load(tmp_path / "scan.nii.gz")
        expected, _ = reoriented(mask, affine, order, flips)
        np.testing.assert_array_equal(np.asanyarray(written.dataobj), expected)
        np.testing.assert_array_equal(written.affine, scan.affine)
        np.testing.assert_array_equal(read_mask(tmp_path / "mask.nii.gz").array[0], mask)


@pytest.mark.parametrize(("order", "flips"), ORIENTATIONS[::5])
@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_masks_land_on_the_grids_of_itk_files_too(tmp_path, order, flips, suffix):
    array, mask, affine = reference()
    moved, own_affine = reoriented(array, affine, order, flips)
    scan = itk_image(moved, own_affine)
    SimpleITK.WriteImage(scan, str(tmp_path / f"scan{suffix}"))
    volume = read_volume(tmp_path / f"scan{suffix}")
    np.testing.assert_array_equal(volume.array[0], array)
    np.testing.assert_allclose(volume.affine, affine, atol=1e-4)
    write_mask(tmp_path / f"mask{suffix}", mask, like=volume)

    written = SimpleITK.ReadImage(str(tmp_path / f"mask{suffix}"))
    expected, _ = reoriented(mask, affine, order, flips)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(written).T, expected)
    np.testing.assert_allclose(written.GetDirection(), scan.GetDirection(), atol=1e-9)
    np.testing.assert_allclose(written.GetOrigin(), scan.GetOrigin(), atol=1e-9)
    np.testing.assert_allclose(written.GetSpacing(), scan.GetSpacing(), atol=1e-9)


def itk_image(array, affine):
    lps = np.diag([-1.0, -1, 1, 1]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array.T))
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image


def test_nifti_and_nrrd_of_one_scan_agree(tmp_path):
    array, mask, affine = reference()
    nib.save(nib.Nifti1Image(array, affine), tmp_path / "scan.nii")
    volume = read_volume(tmp_path / "scan.nii")
    write_mask(tmp_path / "mask.nrrd", mask, like=volume)
    through_itk = SimpleITK.ReadImage(str(tmp_path / "mask.nrrd"))
    SimpleITK.WriteImage(through_itk, str(tmp_path / "mask.nii"))
    again = read_mask(tmp_path / "mask.nii")
    np.testing.assert_array_equal(again.array[0], mask)
    np.testing.assert_allclose(again.affine, affine, atol=1e-4)


def test_any_oblique_or_sheared_affine_takes_the_axes_that_nibabel_takes():
    rng = np.random.default_rng(4)
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    for _ in range(100):
        affine = np.eye(4)
        affine[:3, :3] = rng.standard_normal((3, 3))
        affine[:3, 3] = rng.uniform(-50, 50, 3)
        ours = canonical(Stored(array=array[None], grid=Grid(shape=array.shape, affine=affine)))
        theirs = nib.as_closest_canonical(nib.Nifti1Image(array, affine))
        np.testing.assert_array_equal(ours.array[0], np.asanyarray(theirs.dataobj))
        np.testing.assert_allclose(ours.affine, theirs.affine, atol=1e-9)
        np.testing.assert_array_equal(to_source(ours.array[0], ours), array)


def test_channels_go_back_with_the_axes():
    array, _, affine = reference()
    moved, own_affine = reoriented(array, affine, (2, 0, 1), (-1, 1, -1))
    several = np.stack([moved, moved + 1])
    volume = canonical(Stored(array=several, grid=Grid(shape=moved.shape, affine=own_affine)))
    assert to_source(volume.array, volume).shape == several.shape
    np.testing.assert_array_equal(to_source(volume.array, volume), several)


def test_pictures_keep_rows_and_columns():
    array = np.arange(12).reshape(1, 3, 4)
    flipped = np.diag([-1.0, -1, 1, 1])
    volume = canonical(Stored(array=array, grid=Grid(shape=(3, 4), affine=flipped)))
    np.testing.assert_array_equal(volume.array, array)
    np.testing.assert_array_equal(to_source(volume.array[0], volume), array[0])


def test_an_array_of_another_shape_is_refused(tmp_path):
    array, _, affine = reference()
    volume = Volume(array=array[None], affine=affine, source=Grid(shape=SHAPE, affine=affine))
    for wrong in (np.zeros((6, 5, 7), int), np.zeros((5, 6), int), np.zeros((1, 2, 5, 6, 7), int)):
        with pytest.raises(ValueError, match=r"cannot go back to the grid of a scan of shape"):
            write_mask(tmp_path / "mask.nii", wrong, like=volume)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("axes", list(permutations(range(4))))
def test_copying_by_planes_is_plain_copying(axes):
    array = np.random.default_rng(0).integers(-9, 9, (2, 5, 6, 7)).astype(">i2")
    view = array.transpose(axes)[..., ::-1]
    copied = contiguous(view, np.dtype(np.int16))
    assert copied.flags.c_contiguous
    np.testing.assert_array_equal(copied, view)
    scaled = contiguous(view, np.dtype(np.float32), scale=(0.1, 3.0))
    np.testing.assert_array_equal(scaled, (view * 0.1 + 3.0).astype(np.float32))
