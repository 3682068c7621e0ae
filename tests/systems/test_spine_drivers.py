"""Slices of pictures, DICOM files and scans, with their masks."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from spine_series import volume_of, write_dicom, write_nifti
from spine_slices import data, noise, picture

from delineate.errors import DataError
from delineate.io import read_volume
from delineate.systems.spine.slices import png_pixels
from delineate.systems.spine.slices.reading import read_mask_of, read_picture, read_slice
from delineate.systems.spine.slices.table import find_table
from delineate.systems.spine.slices.volume_pictures import choose_plane, pictures_of


def test_pictures_keep_their_eight_bits_and_deeper_ones_are_scaled(tmp_path: Path):
    grey, colour = noise(1), noise(2, (12, 10, 3))
    np.testing.assert_array_equal(read_picture(picture(tmp_path / "g.png", grey)), grey)
    np.testing.assert_array_equal(read_picture(picture(tmp_path / "c.png", colour)), colour)
    deep = (np.arange(120).reshape(12, 10) * 30).astype(np.uint16)
    found = read_picture(picture(tmp_path / "d.png", deep))
    low, high = np.percentile(deep, (0.5, 99.5))
    expected = np.clip((deep - low) / (high - low) * 255, 0, 255)
    np.testing.assert_allclose(found, expected, atol=0.51)
    dark = noise(3) // 200
    np.testing.assert_array_equal(read_picture(picture(tmp_path / "k.tif", dark)), dark)
    bits = Image.fromarray((grey > 128).astype(np.uint8) * 255).convert("1")
    bits.save(tmp_path / "b.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "b.png"), (grey > 128) * 255)


def test_a_scan_is_cut_into_slices_with_its_mask_and_one_patient(tmp_path: Path):
    pictures = [noise(n, (9, 7)) for n in range(5)]
    masks = [(p > 100).astype(np.uint8) for p in pictures]
    for phase, count in (("train", 2), ("val", 1)):
        for number in range(count):
            name = f"{phase}_{number}.nii.gz"
            write_nifti(tmp_path / "a" / phase / "images" / name, volume_of(pictures))
            write_nifti(tmp_path / "a" / phase / "masks" / name, volume_of(masks))
    asked = data("segmentation_file", driver="nifti", params={"plane": "sagittal"})
    table = find_table(asked, tmp_path, seed=0)
    assert len(table.slices) == 15
    assert len({item.group for item in table.slices}) == 3
    one = [item for item in table.slices if "val_0" in item.id]
    assert [item.id for item in one] == [f"a/val/images/val_0_sagittal_{n:03}" for n in range(5)]
    for item, image, mask in zip(one, pictures, masks, strict=True):
        np.testing.assert_array_equal(read_slice(item.input_path), image)
        np.testing.assert_array_equal(read_mask_of(item.input_path, item.label or ""), mask)


def test_slices_of_a_scan_have_its_class(tmp_path: Path):
    for phase in ("train", "val"):
        volume = volume_of([noise(n, (9, 7)) for n in range(3)])
        write_nifti(tmp_path / "a" / phase / "t2" / f"{phase}.nii", volume)
    table = find_table(data("file", driver="nifti"), tmp_path, seed=0)
    assert table.classes == ("t2",)
    assert len(table.slices) == 6


def test_a_mask_on_another_grid_than_its_scan_is_refused(tmp_path: Path):
    volume = volume_of([noise(n, (9, 7)) for n in range(3)])
    write_nifti(tmp_path / "a/train/images/x.nii", volume)
    (tmp_path / "a/train/masks").mkdir()
    nib.save(nib.Nifti1Image(volume, np.eye(4)), tmp_path / "a/train/masks/x.nii")
    (item, *_) = find_table(data("segmentation_file", driver="nifti"), tmp_path, seed=0).slices
    with pytest.raises(DataError, match=r"x\.nii .*Fix: draw masks on the grid of their scan"):
        read_mask_of(item.input_path, item.label or "")


def test_dicom_slices_are_those_of_their_series_with_masks_drawn_on_each(tmp_path: Path):
    pytest.importorskip("pydicom", reason="needs delineate[dicom]")
    pictures = [noise(n, (9, 7)) for n in range(4)]
    folder = write_dicom(tmp_path / "a/train/images", pictures)
    masks = {f"IM{4 - n:03}": (p > 100).astype(np.uint8) for n, p in enumerate(pictures)}
    for name, mask in masks.items():
        picture(tmp_path / f"a/train/masks/{name}.png", mask)
    table = find_table(data("segmentation_file", driver="dicom"), tmp_path, seed=0)
    volume = read_volume(folder)
    shown = pictures_of(volume, choose_plane(volume, stacked=True))
    assert {item.group for item in table.slices} == {"17"}
    for item in table.slices:
        name = Path(item.id).name
        own = pictures[4 - int(name[2:])]
        np.testing.assert_array_equal(read_slice(item.input_path), own)
        np.testing.assert_array_equal(read_mask_of(item.input_path, item.label or ""), masks[name])
    order = [int(item.input_path.rpartition("[")[2][:-1]) for item in table.slices]
    for item, number in zip(table.slices, order, strict=True):
        np.testing.assert_array_equal(read_slice(item.input_path), shown[number])


def test_a_patient_in_the_headers_of_two_phases_is_refused(tmp_path: Path):
    pytest.importorskip("pydicom", reason="needs delineate[dicom]")
    for number, phase in enumerate(("train", "val")):
        write_dicom(tmp_path / "a" / phase / "t2", [noise(number)], series=f"1.2.{number}")
    with pytest.raises(DataError, match="patient 17 has slices in train"):
        find_table(data("file", driver="dicom"), tmp_path, seed=0)
    asked = data("file", driver="dicom", params={"group": "(train|val)"})
    (one, _) = find_table(asked, tmp_path, seed=0).slices
    np.testing.assert_array_equal(read_slice(one.input_path), noise(0))


def test_files_of_a_series_that_make_no_volume_are_slices_of_their_own(tmp_path: Path):
    pytest.importorskip("pydicom", reason="needs delineate[dicom]")
    for name in ("one", "two"):
        write_dicom(tmp_path / "a/train/t2" / name, [noise(1), noise(2)])
    for number, file in enumerate(sorted((tmp_path / "a/train/t2/two").iterdir())):
        file.rename(tmp_path / f"a/train/t2/one/copy{number}")
    asked = data("file", driver="dicom", params={"allow_shared_patients": True})
    table = find_table(asked, tmp_path, seed=0)
    assert len(table.slices) == 4
    assert all("::" not in item.input_path for item in table.slices)
    read_slice(table.slices[0].input_path)


def test_pages_and_broken_pictures_are_named(tmp_path: Path):
    pages = [Image.fromarray(noise(n)) for n in range(2)]
    pages[0].save(tmp_path / "p.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(DataError, match=r"p\.tif: .* no single picture in grey or colour"):
        read_picture(tmp_path / "p.tif")
    (tmp_path / "x.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"x\.png: not a readable picture"):
        read_picture(tmp_path / "x.png")


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "LA", "RGBA", "1", "I;16"])
def test_a_png_is_what_pillow_says_whoever_decodes_it(tmp_path: Path, monkeypatch, mode: str):
    """OpenCV where it is installed."""
    grey = Image.fromarray(noise(1, (40, 30)))
    if mode == "RGB":
        grey = Image.fromarray(noise(1, (40, 30, 3)))
    elif mode == "I;16":
        grey = Image.fromarray(noise(1, (40, 30)).astype(np.uint16) * 100)
    else:
        grey = grey.convert(mode)
    for number, how in enumerate(({}, {"optimize": True})):
        path = tmp_path / f"{number}.png"
        grey.save(path, **how)
        found, mask = (
            read_picture(path),
            read_mask_of(str(path), str(path)) if mode == "L" else None,
        )
        with monkeypatch.context() as patch:
            patch.setattr(png_pixels, "_opencv", lambda: None)
            np.testing.assert_array_equal(found, read_picture(path))
            if mask is not None:
                np.testing.assert_array_equal(mask, read_mask_of(str(path), str(path)))


def test_a_png_that_was_cut_off_is_an_error(tmp_path: Path):
    whole = picture(tmp_path / "x.png", noise(1, (60, 50))).read_bytes()
    for share in (0.5, 0.99):
        (tmp_path / "x.png").write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(DataError, match=r"x\.png: .*"):
            read_picture(tmp_path / "x.png")
    broken = bytearray(whole)
    broken[len(whole) // 2 : len(whole) // 2 + 40] = bytes(40)
    (tmp_path / "x.png").write_bytes(broken)
    with pytest.raises(DataError, match=r"x\.png: "):
        read_picture(tmp_path / "x.png")
