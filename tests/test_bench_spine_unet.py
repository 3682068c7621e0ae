"""The benchmark of the documented UNET, at a size that proves that it runs."""

import json
import sys

import numpy as np
import pytest
from bench_scripts import loaded
from PIL import Image

pytest.importorskip("albumentations", reason="needs delineate[albumentations]")


@pytest.fixture
def bench(monkeypatch):
    """A small network."""
    with loaded(monkeypatch, "spine_unet") as module:
        monkeypatch.setattr(module, "FEATURES", 4)
        monkeypatch.setattr(module, "DEPTH", 2)
        yield module


@pytest.fixture
def folder(bench, tmp_path):
    bench.draw_cells(tmp_path / "drawn", count=8, size=64)
    bench.deal(tmp_path / "drawn", tmp_path)
    return tmp_path


def test_one_slice_in_four_is_held_out_and_none_is_on_both_sides(folder):
    names = [
        {path.name for path in (folder / "slices" / phase / "images").iterdir()}
        for phase in ("train", "val")
    ]
    assert [len(found) for found in names] == [6, 2]
    assert not names[0] & names[1]


def test_the_plain_side_reads_each_mask_at_its_image(bench, folder):
    held = bench.Slices(folder / "slices" / "val", 64, flips=False)
    for file, (image, mask) in zip(held.files, held, strict=True):
        drawn = np.asarray(Image.open(file.parents[1] / "masks" / file.name))
        assert np.array_equal(mask[0].numpy(), drawn > 0)
        assert image[0][mask[0] > 0].mean() > image[0][mask[0] == 0].mean()


@pytest.mark.slow
@pytest.mark.parametrize("side", ["ours", "plain"])
def test_a_side_trains_and_says_its_seconds_and_figures(bench, folder, monkeypatch, capsys, side):
    words = ["--side", side, "--folder", str(folder), "--epochs", "2", "--size", "32"]
    monkeypatch.setattr(sys, "argv", ["spine_unet.py", *words])
    bench.main()
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["seconds"] > 0
    assert found["iou"] == pytest.approx(found["dice"] / (2 - found["dice"]), abs=2e-3)
