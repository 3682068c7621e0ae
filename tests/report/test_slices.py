import base64
import io
import zlib

import numpy as np
import pytest
from PIL import Image

from delineate.labels import Class, Labels
from delineate.report import slices
from delineate.report.slices import pack_slices
from delineate.report.view import View, cut, planes_of

LABELS = Labels.from_names({"a": 1, "b": 2})


def view(image, truth, labels=LABELS, spacing=None, **predictions):
    return View(
        id="case", image=image, truth=truth, predictions=predictions,
        spacing=spacing or (1.0,) * (image.ndim - 1), window=(0.0, 255.0), labels=labels,
    )  # fmt: skip


def random_view(shape=(9, 12, 7), seed=0):
    rng = np.random.default_rng(seed)
    smooth = np.linspace(0, 250, int(np.prod(shape))).reshape(1, *shape)
    truth = rng.integers(0, 3, (1, *shape)).astype(np.uint8)
    return view(smooth.astype(np.float32), truth, run=np.roll(truth, 1, axis=1))


def unpacked(text, kind=np.uint8):
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), kind)


def sliced(flat, plane, place):
    """What viewer.js does: a start, and a step each way."""
    rows, columns = np.mgrid[: plane["rows"], : plane["columns"]]
    at = plane["start"] + rows * plane["row"] + columns * plane["column"] + place * plane["slice"]
    return flat[at]


def sprite(packed):
    text = packed["sprite"].partition(",")[2]
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB"))
    high, wide = packed["tile"]
    rows, columns, number = packed["shape"]
    voxels = np.zeros((rows, columns, number, 3), np.uint8)
    for k in range(number):
        top, left = k // packed["tiles"] * high, k % packed["tiles"] * wide
        voxels[:, :, k] = sheet[top : top + rows, left : left + columns]
    return voxels


def test_the_steps_of_each_plane_lead_to_the_slices_that_the_page_draws():
    shown = random_view()
    packed = pack_slices(shown)
    flat = unpacked(packed["truth"])
    for plane, facts in zip(planes_of(shown), packed["planes"], strict=True):
        assert facts["slices"] == shown.shape[plane.axis]
        for place in range(facts["slices"]):
            np.testing.assert_array_equal(
                sliced(flat, facts, place), cut(shown.truth, plane, place)[0]
            )
        assert facts["place"] == shown.fullest(plane)


def test_the_sheet_of_tiles_holds_the_grey_of_every_voxel():
    shown = random_view()
    off = sprite(pack_slices(shown))[..., 0].astype(int) - shown.grey(shown.image[0]).astype(int)
    assert np.abs(off).mean() < 3


def test_a_colour_picture_keeps_its_colours_and_is_not_turned():
    image = np.zeros((3, 40, 60), np.uint8)
    image[0, :, :30] = 200
    image[2, :, 30:] = 200
    mask = (image[:1] > 0).astype(np.uint8)
    packed = pack_slices(view(image, mask, run=mask))
    pixels = sprite(packed)[:, :, 0]
    assert pixels[20, 10, 0] > 150 > 100 > pixels[20, 10, 2]
    assert pixels[20, 50, 2] > 150 > 100 > pixels[20, 50, 0]
    (plane,) = packed["planes"]
    np.testing.assert_array_equal(sliced(unpacked(packed["truth"]), plane, 0), mask[0])


def test_overlapping_classes_share_bytes_bit_by_bit():
    labels = Labels(classes=tuple(Class(name=f"c{i}", id=i) for i in range(11)), overlapping=True)
    masks = np.random.default_rng(0).integers(0, 2, (11, 5, 6, 4)).astype(np.uint8)
    packed = pack_slices(view(np.zeros((1, 5, 6, 4), np.float32), masks, labels))
    groups = unpacked(packed["truth"]).reshape(2, 5, 6, 4)
    for i, mask in enumerate(masks):
        np.testing.assert_array_equal(groups[i >> 3] >> (i & 7) & 1, mask)


def test_three_hundred_classes_take_two_bytes_each():
    labels = Labels.from_names({f"c{i}": i for i in range(1, 301)})
    truth = np.arange(300, dtype=np.uint16).reshape(1, 10, 6, 5) + 1
    packed = pack_slices(view(np.zeros((1, 10, 6, 5), np.float32), truth, labels))
    assert packed["bytes"] == 2
    np.testing.assert_array_equal(unpacked(packed["truth"], "<u2"), truth.ravel())


def test_a_large_scan_is_cut_to_its_structures_and_shrunk_to_the_budget(monkeypatch):
    monkeypatch.setattr(slices, "VOXELS", 20_000)
    shape, spacing = (120, 110, 60), (1.0, 1.0, 3.0)
    truth = np.zeros((1, *shape), np.uint8)
    truth[0, 50:70, 40:60, 20:40] = 1
    packed = pack_slices(view(truth * np.float32(200), truth, spacing=spacing, run=truth))
    assert np.prod(packed["shape"]) <= 20_000
    assert packed["note"].startswith("Blocks of ")
    assert packed["note"].endswith("Only the structures and what surrounds them are shown.")
    share = (unpacked(packed["truth"]) > 0).mean()
    # 20 voxels and a margin of 20 mm (7 slices) on each side.
    assert share == pytest.approx(20 * 20 * 20 / (60 * 60 * 34), rel=0.25)
    wide = {plane["name"]: plane["wide"] for plane in packed["planes"]}
    assert wide["axial"] == pytest.approx(1.0, rel=0.1)
    assert wide["coronal"] == pytest.approx(60 / 102, rel=0.15)


def test_noise_is_shrunk_until_the_bytes_fit(monkeypatch):
    monkeypatch.setattr(slices, "BYTES", 40_000)
    noise = np.random.default_rng(0).integers(0, 255, (1, 64, 64, 40)).astype(np.float32)
    packed = pack_slices(view(noise, None))
    assert len(packed["sprite"]) <= 40_000
    assert packed["truth"] is None
    assert "voxels are shown as one." in packed["note"]
