"""The CT phantom of the liver: small dark tumours inside it, in Decathlon's layout."""

from pathlib import Path

import numpy as np
from scipy.ndimage import label

from delineate.datasets import PHANTOMS, read_dataset, synthesise
from delineate.datasets.phantom_liver import draw_liver
from delineate.io import read_volume


def test_tumours_are_small_dark_and_in_the_liver() -> None:
    drawings = [draw_liver(np.random.default_rng((0, i)), (64, 56, 48)) for i in range(3)]
    volumes = []
    for drawing in drawings:
        assert set(np.unique(drawing.mask)) <= {0, 1, 2}
        liver, tumour = (drawing.image[0][drawing.mask == i] for i in (1, 2))
        assert 80 < liver.mean() < 140
        litres = np.prod(drawing.spacing) * np.count_nonzero(drawing.mask) / 1e6
        assert 0.6 < litres < 3.5
        if len(tumour):
            assert tumour.mean() < liver.mean() - 15
        pieces, count = label(drawing.mask == 2)
        volumes += [np.prod(drawing.spacing) * (pieces == i + 1).sum() / 1e3 for i in range(count)]
    assert len(volumes) >= 3
    assert np.median(volumes) < 8  # ml: a ball of 12.4 mm


def test_it_is_written_as_the_decathlon_is(tmp_path: Path) -> None:
    root = synthesise("liver", tmp_path / "set", cases=2, shape=(28, 24, 20))
    assert [p.name for p in sorted((root / "imagesTr").iterdir())] == [
        "liver_000.nii.gz",
        "liver_001.nii.gz",
    ]
    assert (root / "labelsTr" / "liver_000.nii.gz").is_file()
    dataset = read_dataset(root)
    assert dataset.layout == "msd"
    assert dataset.labels is not None
    assert dataset.labels.names == PHANTOMS["liver"].subject.labels.names
    assert read_volume(dataset.cases[0].images[0]).array.min() >= -1024
