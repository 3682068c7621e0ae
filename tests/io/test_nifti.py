import gzip
import pickle
from itertools import product

import nibabel as nib
import numpy as np
import pytest

from delineate.errors import DataError
from delineate.io import read_header, read_mask, read_volume, write_image, write_mask

OBLIQUE = np.array(
    [[-0.1, 1.9, 0.3, -12], [0.9, 0.15, -0.2, 31], [0.2, -0.1, 2.8, 5.5], [0, 0, 0, 1]]
)


def image(shape=(3, 4, 5), dtype=np.int16, affine=None, kind=nib.Nifti1Image):
    values = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    return kind(values, np.diag([2.0, 3, 4, 1]) if affine is None else affine)


def saved(tmp_path, img, name="scan.nii.gz"):
    nib.save(img, tmp_path / name)
    return tmp_path / name


def raw_saved(tmp_path, img, name="scan.nii", **fields):
    """A file whose header fields are set after nibabel's own repairs."""
    path = saved(tmp_path, img, "raw.nii")
    data = bytearray(path.read_bytes())
    header = np.frombuffer(data, img.header.template_dtype, count=1)
    for field, value in fields.items():
        header[field] = value
    (tmp_path / name).write_bytes(data)
    return tmp_path / name


def as_nibabel(path):
    loaded = nib.load(path)
    canonical = nib.as_closest_canonical(loaded)
    return np.asanyarray(canonical.dataobj), canonical.affine, loaded.affine


def assert_as_nibabel(path):
    volume = read_volume(path)
    array, affine, own = as_nibabel(path)
    np.testing.assert_array_equal(volume.array[0], array)
    np.testing.assert_allclose(volume.affine, affine, rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(volume.source.affine, own, rtol=1e-6, atol=1e-6)
    header = read_header(path)
    assert (header.channels, *header.shape) == volume.array.shape
    assert header.dtype == volume.array.dtype
    np.testing.assert_array_equal(header.affine, volume.affine)
    assert header.spacing == volume.spacing
    return volume


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize(
    "dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", ">i2", ">f4"]
)
def test_every_type_version_and_byte_order_reads_as_nibabel_reads_it(tmp_path, name, kind, dtype):
    img = image(affine=OBLIQUE, kind=kind)
    header = kind.header_class(endianness=">" if dtype[0] == ">" else "<")
    header.set_data_dtype(dtype)
    img = kind(np.asanyarray(img.dataobj).astype(dtype), OBLIQUE, header)
    volume = assert_as_nibabel(saved(tmp_path, img, name))
    assert volume.array.dtype == np.dtype(dtype).newbyteorder("=")
    assert volume.array.flags.c_contiguous
    assert volume.array.flags.writeable


@pytest.mark.parametrize("codes", list(product((0, 1, 4, 9), (0, 1, 3, 9))))
def test_sform_comes_before_qform_before_pixdim(tmp_path, codes):
    path = raw_saved(
        tmp_path,
        image(),
        sform_code=codes[0],
        qform_code=codes[1],
        srow_x=OBLIQUE[0],
        srow_y=OBLIQUE[1],
        srow_z=OBLIQUE[2],
        quatern_b=0.1,
        quatern_c=-0.5,
        quatern_d=0.3,
        qoffset_x=7,
    )
    assert_as_nibabel(path)


@pytest.mark.parametrize(
    "pixdim", [[1, 1, 2, 3], [-1, 1, 2, 3], [0, 1, 2, 3], [1, -1, 2, 3], [1, 0, 2, 0]]
)
@pytest.mark.parametrize("quaternion", [(0, 0, 0), (1, 0, 0), (0.70710678, 0.70710678, 0)])
def test_odd_pixdim_is_repaired_as_nibabel_repairs_it(tmp_path, pixdim, quaternion):
    b, c, d = quaternion
    for code in (0, 1):
        path = raw_saved(
            tmp_path, image(), pixdim=[*pixdim, 1, 1, 1, 1], sform_code=0, qform_code=code,
            quatern_b=b, quatern_c=c, quatern_d=d,
        )  # fmt: skip
        assert_as_nibabel(path)


def test_scaled_integers_become_float32_rounded_once(tmp_path):
    img = image(dtype=np.int16)
    img.header.set_slope_inter(0.37, -1024.2)
    path = saved(tmp_path, img)
    volume = read_volume(path)
    exact = nib.load(path).get_fdata(dtype=np.float64)
    assert volume.array.dtype == read_header(path).dtype == np.float32
    np.testing.assert_array_equal(volume.array[0], exact.astype(np.float32))


def test_scaled_floats_keep_their_type(tmp_path):
    path = raw_saved(tmp_path, image(dtype=np.float64), scl_slope=2, scl_inter=1)
    volume = read_volume(path)
    assert volume.array.dtype == read_header(path).dtype == np.float64
    np.testing.assert_array_equal(volume.array[0].ravel(), np.arange(60) * 2 + 1)


@pytest.mark.parametrize("slope", [0, np.nan, np.inf])
def test_an_unset_slope_leaves_integers_alone(tmp_path, slope):
    path = raw_saved(tmp_path, image(), scl_slope=slope, scl_inter=5)
    assert read_volume(path).array.dtype == np.int16


@pytest.mark.parametrize("shape", [(3, 4, 5, 1), (3, 4, 5, 1, 1), (3, 4), (3, 4, 1), (7,)])
def test_singleton_axes_are_squeezed_or_filled_to_three(tmp_path, shape):
    path = saved(tmp_path, image(shape))
    volume = read_volume(path)
    assert volume.array.shape == (1, *(*shape, 1, 1)[:3])
    np.testing.assert_array_equal(volume.array.ravel(), np.arange(np.prod(shape)))
    assert read_header(path).shape == volume.shape


@pytest.mark.parametrize("shape", [(3, 4, 5, 2), (3, 4, 5, 1, 3), (3, 4, 5, 2, 3)])
def test_longer_fourth_and_fifth_axes_are_channels(tmp_path, shape):
    img = image(shape, affine=OBLIQUE)
    path = saved(tmp_path, img)
    volume = read_volume(path)
    channels = np.asanyarray(img.dataobj).reshape(3, 4, 5, -1, order="F")
    assert read_header(path).channels == len(volume.array) == channels.shape[-1]
    for index, channel in enumerate(volume.array):
        single = nib.as_closest_canonical(nib.Nifti1Image(channels[..., index], OBLIQUE))
        np.testing.assert_array_equal(channel, np.asanyarray(single.dataobj))


def test_rgb_voxels_are_three_channels(tmp_path):
    colours = np.random.default_rng(0).integers(0, 255, (3, 4, 5, 3), dtype=np.uint8)
    rgb = colours.view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]
    volume = read_volume(saved(tmp_path, nib.Nifti1Image(rgb, np.eye(4))))
    np.testing.assert_array_equal(volume.array, np.moveaxis(colours, -1, 0))


def test_extensions_before_the_voxels_are_skipped(tmp_path):
    img = image()
    img.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * 1000))
    assert_as_nibabel(saved(tmp_path, img))


def test_all_real_scans_read_as_nibabel_reads_them(real_data):
    rooms = ("ms_lesions", "spinal_cord", "ct_many_organs", "subcortex_hierarchy")
    paths = [path for room in rooms for path in sorted((real_data / room).rglob("*.nii.gz"))]
    assert len(paths) >= 25
    for path in paths[::2]:
        assert_as_nibabel(path)


def damaged(tmp_path, data, name="scan.nii.gz"):
    (tmp_path / name).write_bytes(data)
    return tmp_path / name


@pytest.mark.parametrize("read", [read_volume, read_mask, read_header])
def test_an_empty_file_is_named(tmp_path, read):
    path = damaged(tmp_path, b"")
    with pytest.raises(DataError) as error:
        read(path)
    assert str(error.value) == f"{path}: empty: 0 bytes."


def test_a_truncated_file_says_how_many_bytes_were_expected_and_got(tmp_path):
    whole = saved(tmp_path, image(), "whole.nii").read_bytes()
    assert len(whole) == 352 + 120
    path = damaged(tmp_path, whole[:400], "scan.nii")
    with pytest.raises(DataError) as error:
        read_volume(path)
    assert str(error.value) == (
        f"{path}: truncated: 472 bytes expected (3x4x5 voxels of int16, 1 channel), got 400."
    )
    path = damaged(tmp_path, gzip.compress(whole)[:-4])
    with pytest.raises(
        DataError, match=r"truncated: 472 bytes expected .* got 472 but no checksum"
    ):
        read_volume(path)
    path = damaged(tmp_path, whole[:100], "scan.nii")
    with pytest.raises(DataError, match="truncated: a NIfTI header takes 348 bytes, got 100"):
        read_volume(path)


def test_every_truncation_of_a_gzip_file_is_a_named_error(tmp_path):
    whole = saved(tmp_path, image()).read_bytes()
    for length in range(0, len(whole), 7):
        path = damaged(tmp_path, whole[:length])
        with pytest.raises(DataError, match=r"scan\.nii\.gz: (truncated|empty|not a gzip)"):
            read_volume(path)


def test_a_broken_gzip_stream_is_a_named_error(tmp_path):
    whole = bytearray(saved(tmp_path, image()).read_bytes())
    whole[-6] ^= 1
    path = damaged(tmp_path, whole)
    with pytest.raises(DataError, match=r"the gzip stream is broken \(.*checksum.*\)"):
        read_volume(path)


def test_a_plain_file_named_gz_is_told_apart(tmp_path):
    plain = saved(tmp_path, image(), "a.nii")
    path = damaged(tmp_path, plain.read_bytes())
    with pytest.raises(DataError) as error:
        read_volume(path)
    assert str(error.value) == (
        f"{path}: not a gzip file, in spite of its name. "
        "Fix: it is a plain NIfTI file, name it .nii."
    )
    with pytest.raises(DataError, match=r"in spite of its name\.$"):
        read_volume(damaged(tmp_path, b"<html>not found</html>"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"srow_x": [np.nan, 0, 0, 0]}, "the affine has values that are not finite"),
        ({"srow_x": [0, 1, 0, 0], "srow_y": [0, 1, 0, 0]}, "the affine is singular"),
        ({"srow_z": [0, 0, 0, 0]}, "the affine is singular"),
        ({"datatype": 32}, "holds complex numbers, which cannot be read"),
        ({"datatype": 1}, "holds type 1, which cannot be read"),
        ({"dim": [3, 3, 0, 5, 1, 1, 1, 1]}, "declares an impossible shape"),
        ({"magic": b"ni1"}, "the header of a NIfTI pair"),
        ({"magic": b""}, "not a NIfTI file: it lacks the mark"),
        ({"vox_offset": 100}, r"vox_offset is 100, inside the header \(352 bytes\)"),
        ({"scl_slope": 2, "scl_inter": np.inf}, "scl_slope is 2 but scl_inter is inf"),
        ({"sform_code": 0, "qform_code": 1, "quatern_b": 2}, "is not a rotation"),
    ],
)
@pytest.mark.parametrize("read", [read_volume, read_header])
def test_a_header_that_makes_no_sense_is_a_named_error(tmp_path, fields, message, read):
    path = raw_saved(tmp_path, image(), **fields)
    with pytest.raises(DataError, match=r"scan\.nii: .*" + message):
        read(path)


@pytest.mark.parametrize("name", ["out.nii", "out.nii.gz"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_a_mask_carries_the_sources_own_forms(tmp_path, name, kind):
    img = image(affine=OBLIQUE, kind=kind)
    img.set_qform(np.diag([2.0, 3, 4, 1]), code=1)
    img.set_sform(OBLIQUE, code=4)
    img.header.set_xyzt_units("mm", "sec")
    path = saved(tmp_path, img)
    source = nib.load(path)
    volume = read_volume(path)
    write_mask(tmp_path / name, volume.array[0] % 3, like=volume)
    mask = nib.load(tmp_path / name)
    assert type(mask) is kind
    assert mask.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asanyarray(mask.dataobj), np.asanyarray(img.dataobj) % 3)
    for form in ("get_sform", "get_qform"):
        theirs, ours = getattr(source, form)(coded=True), getattr(mask, form)(coded=True)
        np.testing.assert_array_equal(theirs[0], ours[0])
        assert theirs[1] == ours[1]
    assert mask.header.get_xyzt_units()[0] == "mm"


def test_big_endian_sources_get_little_endian_masks_in_the_same_place(tmp_path):
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(np.int16)
    img = nib.Nifti1Image(np.ones((3, 4, 5), ">i2"), OBLIQUE, header)
    volume = read_volume(saved(tmp_path, img))
    write_mask(tmp_path / "mask.nii", volume.array[0], like=volume)
    mask = nib.load(tmp_path / "mask.nii")
    assert mask.header.endianness == "<"
    np.testing.assert_array_equal(mask.affine, nib.load(tmp_path / "scan.nii.gz").affine)


def test_rotations_survive_the_quaternion(tmp_path):
    rng = np.random.default_rng(1)
    for _ in range(30):
        rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0]
        affine = np.eye(4)
        affine[:3, :3] = rotation * rng.uniform(0.3, 5, 3)
        affine[:3, 3] = rng.uniform(-100, 100, 3)
        volume = read_volume(saved(tmp_path, image(affine=affine)))
        grid = type(volume.source)(shape=volume.source.shape, affine=affine)
        free = type(volume)(array=volume.array, affine=volume.affine, source=grid)
        write_image(tmp_path / "again.nii", free.array, like=free)
        again = nib.load(tmp_path / "again.nii")
        np.testing.assert_allclose(again.get_sform(), affine, rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(again.get_qform(), affine, rtol=1e-4, atol=1e-4)
        assert (int(again.header["sform_code"]), int(again.header["qform_code"])) == (1, 1)


def test_a_sheared_grid_gets_no_quaternion(tmp_path):
    volume = read_volume(saved(tmp_path, image()))
    sheared = np.array([[1.0, 0.3, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    grid = type(volume.source)(shape=volume.source.shape, affine=sheared)
    free = type(volume)(array=volume.array, affine=sheared, source=grid)
    write_image(tmp_path / "again.nii", free.array, like=free)
    again = nib.load(tmp_path / "again.nii")
    assert int(again.header["qform_code"]) == 0
    np.testing.assert_allclose(again.affine, sheared, rtol=1e-6)


def test_a_longer_axis_than_nifti1_can_hold_makes_nifti2(tmp_path):
    volume = read_volume(saved(tmp_path, image((40000, 1, 1), kind=nib.Nifti2Image)))
    write_mask(tmp_path / "mask.nii.gz", np.ones((40000, 1, 1), bool), like=volume)
    assert isinstance(nib.load(tmp_path / "mask.nii.gz"), nib.Nifti2Image)


def test_volumes_travel_to_worker_processes(tmp_path):
    volume = read_volume(saved(tmp_path, image()))
    again = pickle.loads(pickle.dumps(volume))
    write_mask(tmp_path / "mask.nii", again.array[0], like=again)
    assert read_mask(tmp_path / "mask.nii").array.dtype == np.uint8


def test_reading_nifti_imports_no_other_library(tmp_path):
    import subprocess
    import sys

    path = saved(tmp_path, image())
    code = (
        f"import sys; from delineate.io import read_volume; read_volume({str(path)!r}); "
        "print([m for m in ('nibabel', 'torch', 'scipy', 'h5py', 'PIL') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
