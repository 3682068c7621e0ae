import numpy as np
import pytest
import SimpleITK
from PIL import Image

from delineate.errors import DataError
from delineate.io import Grid, Volume, read_header, read_mask, read_volume, write_image, write_mask

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 255, (5, 7), dtype=np.uint8)
COLOUR = RNG.integers(0, 255, (5, 7, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65535, (5, 7), dtype=np.uint16)


def saved(tmp_path, image, name="a.png", **options):
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(tmp_path / name, **options)
    return tmp_path / name


def assert_reads_as(path, expected):
    volume, header = read_volume(path), read_header(path)
    np.testing.assert_array_equal(volume.array, expected)
    assert volume.array.dtype == header.dtype == expected.dtype
    assert (header.channels, *header.shape) == volume.array.shape
    np.testing.assert_array_equal(volume.affine, np.eye(4))


@pytest.mark.parametrize("suffix", ["png", "tif", "tiff", "bmp", "PNG"])
def test_grey_and_colour_are_channels_rows_columns(tmp_path, suffix):
    assert_reads_as(saved(tmp_path, GREY, f"a.{suffix}"), GREY[None])
    assert_reads_as(saved(tmp_path, COLOUR, f"b.{suffix}"), np.moveaxis(COLOUR, -1, 0))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_stay_sixteen_bits_in_grey_and_in_colour(tmp_path, suffix):
    assert_reads_as(saved(tmp_path, DEEP, f"a.{suffix}"), DEEP[None])
    colours = np.stack([DEEP, DEEP // 2, DEEP // 3], axis=-1)
    image = SimpleITK.GetImageFromArray(colours, isVector=True)
    SimpleITK.WriteImage(image, str(tmp_path / f"b.{suffix}"))
    assert_reads_as(tmp_path / f"b.{suffix}", np.moveaxis(colours, -1, 0))


def test_one_bit_is_zero_and_one(tmp_path):
    assert_reads_as(saved(tmp_path, GREY > 99), (GREY > 99)[None].astype(np.uint8))


def test_floats_come_from_tiff(tmp_path):
    floats = RNG.standard_normal((5, 7)).astype(np.float32)
    assert_reads_as(saved(tmp_path, floats, "a.tif"), floats[None])


def test_jpeg_reads_as_pillow_reads_it(tmp_path):
    path = saved(tmp_path, COLOUR, "a.jpg", quality=90)
    assert_reads_as(path, np.moveaxis(np.asarray(Image.open(path)), -1, 0))


def test_a_palette_is_colours_for_an_image_and_numbers_for_a_mask(tmp_path):
    ids = RNG.integers(0, 3, (5, 7), dtype=np.uint8)
    image = Image.fromarray(ids)
    image.putpalette([0, 0, 0, 200, 0, 0, 0, 0, 90])
    path = saved(tmp_path, image)
    colours = np.array([[0, 0, 0], [200, 0, 0], [0, 0, 90]], np.uint8)[ids]
    assert_reads_as(path, np.moveaxis(colours, -1, 0))
    np.testing.assert_array_equal(read_mask(path).array, ids[None])
    image.putpalette([0, 0, 0, 100, 100, 100, 200, 200, 200])
    assert_reads_as(saved(tmp_path, image), (ids * 100)[None])


def test_constant_alpha_is_dropped_and_varying_alpha_refused(tmp_path):
    alpha = np.full((5, 7, 1), 255, np.uint8)
    assert_reads_as(saved(tmp_path, np.dstack([COLOUR, alpha])), np.moveaxis(COLOUR, -1, 0))
    assert_reads_as(saved(tmp_path, np.dstack([GREY[..., None], alpha])), GREY[None])
    alpha[0, 0] = 0
    path = saved(tmp_path, np.dstack([COLOUR, alpha]))
    with pytest.raises(DataError) as error:
        read_volume(path)
    assert str(error.value) == (
        f"{path}: its transparency varies (0 to 255), so part of the picture is hidden. "
        "Fix: flatten it onto a background."
    )


def test_pages_of_a_tiff_are_a_volume(tmp_path):
    pages = RNG.integers(0, 255, (4, 5, 7), dtype=np.uint8)
    images = [Image.fromarray(page) for page in pages]
    path = saved(tmp_path, images[0], "a.tif", save_all=True, append_images=images[1:])
    assert_reads_as(path, np.moveaxis(pages, 0, -1)[None])
    other = Image.fromarray(GREY[:3])
    path = saved(tmp_path, images[0], "a.tif", save_all=True, append_images=[other])
    with pytest.raises(DataError, match=r"its pages differ in size or kind \(5x7, 3x7 \.\.\.\)"):
        read_volume(path)


def test_real_membranes_read_and_write_back(real_data, tmp_path):
    volume = read_volume(real_data / "membrane" / "images" / "0.png")
    mask = read_mask(real_data / "membrane" / "masks" / "0.png")
    assert volume.array.shape == mask.array.shape == (1, 512, 512)
    assert set(np.unique(mask.array)) == {0, 255}
    write_mask(tmp_path / "out.png", mask.array[0] // 255, like=volume)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out.png")), mask.array[0] > 0)


def test_a_colour_mask_counts_only_if_its_channels_agree(tmp_path):
    same = np.repeat(GREY[..., None], 3, axis=-1)
    np.testing.assert_array_equal(read_mask(saved(tmp_path, same)).array, GREY[None])
    two = np.zeros((5, 7, 3), np.uint8)
    two[0, 0, 0] = 200
    path = saved(tmp_path, two)
    with pytest.raises(DataError) as error:
        read_mask(path)
    assert str(error.value) == (
        f"{path}: a mask in colours, such as [[0, 0, 0], [200, 0, 0]]. "
        "Fix: save one number per class (grey or palette)."
    )


def test_a_jpeg_mask_counts_only_if_its_values_are_clean(tmp_path):
    clean = np.zeros((16, 16), np.uint8)
    clean[:8] = 255
    path = saved(tmp_path, clean, "clean.jpg", quality=100)
    assert set(np.unique(read_mask(path).array)) == {0, 255}
    path = saved(tmp_path, GREY, "blurred.jpg")
    with pytest.raises(DataError, match=r"blurred\.jpg: a mask with \d+ close values .* is lossy"):
        read_mask(path)


def test_few_bit_masks_keep_their_numbers(tmp_path):
    ids = RNG.integers(0, 4, (5, 8), dtype=np.uint8)
    path = tmp_path / "few.png"
    path.write_bytes(two_bit_png(ids))
    np.testing.assert_array_equal(read_mask(path).array, ids[None])
    np.testing.assert_array_equal(read_volume(path).array, ids[None] * 85)


def two_bit_png(ids):
    import struct
    import zlib

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    rows, columns = ids.shape
    packed = ids.reshape(rows, -1, 4) @ np.array([64, 16, 4, 1])
    body = b"".join(b"\0" + row.astype(np.uint8).tobytes() for row in packed)
    head = struct.pack(">IIBBBBB", columns, rows, 2, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(body))
        + chunk(b"IEND", b"")
    )


def like(shape):
    grid = Grid(shape=shape, affine=np.eye(4))
    return Volume(array=np.zeros((1, *shape)), affine=np.eye(4), source=grid)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("a.png", GREY[None]),
        ("a.png", DEEP[None]),
        ("a.png", np.moveaxis(COLOUR, -1, 0)),
        ("a.tif", GREY[None]),
        ("a.tif", DEEP[None]),
        ("a.tif", np.moveaxis(COLOUR, -1, 0)),
        ("a.tif", RNG.standard_normal((1, 5, 7)).astype(np.float32)),
        ("a.tif", RNG.standard_normal((1, 5, 7, 3)).astype(np.float32)),
        ("a.tiff", RNG.integers(0, 60000, (1, 5, 7, 3)).astype(np.uint16)),
    ],
)
def test_what_is_written_reads_back_equal(tmp_path, name, array):
    write_image(tmp_path / name, array, like=like(array.shape[1:]))
    assert_reads_as(tmp_path / name, array)


def test_what_a_picture_cannot_hold_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\.png cannot hold an array of shape \(1, 5, 7, 2\)"):
        write_mask(tmp_path / "a.png", np.zeros((5, 7, 2), int), like=like((5, 7, 2)))
    with pytest.raises(ValueError, match=r"shape \(2, 5, 7\) .* Fix: write \.nii\.gz or \.h5"):
        write_mask(tmp_path / "a.png", np.zeros((2, 5, 7), int), like=like((5, 7)))
    with pytest.raises(ValueError, match=r"\.png cannot hold .* type float32"):
        write_image(tmp_path / "a.png", np.zeros((1, 5, 7), np.float32), like=like((5, 7)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.bmp"])
def test_broken_pictures_are_named(tmp_path, name):
    path = saved(tmp_path, RNG.integers(0, 255, (64, 64), dtype=np.uint8), name)
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(DataError, match=rf"{name}: .*picture"):
        read_volume(path)
    path.write_text("hello")
    with pytest.raises(DataError, match=rf"{name}: not a readable picture"):
        read_header(path)


def test_other_colour_modes_are_refused(tmp_path):
    path = saved(tmp_path, Image.new("CMYK", (4, 4)), "a.jpg")
    with pytest.raises(DataError, match=r"a\.jpg: colour mode CMYK is not read"):
        read_header(path)
