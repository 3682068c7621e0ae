"""A checkpoint over new slices: tables of classes, or masks on the pixels of their source."""

import csv
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from spine_series import (
    CORD_GREY,
    LESION_GREY,
    Halved,
    classifier,
    coded,
    drawer,
    trained,
    volume_of,
    write_nifti,
    write_pictures,
)
from torch import Tensor, stack

from delineate.errors import ConfigError
from delineate.systems.spine.prediction.answers import Answerer, choose_device, threshold
from delineate.systems.spine.prediction.predict import PredictionSettings, labels_of, predict_series
from delineate.systems.spine.slices.series import find_series

ASKED = PredictionSettings()


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_classes_of_slices_and_the_vote_of_each_series(tmp_path: Path):
    root = tmp_path / "scans"
    write_pictures(root / "one", [coded((2,)), coded((0,)), coded((2,))])
    write_pictures(root / "two", [coded((1,))])
    (root / "two" / "torn.png").write_bytes(b"")
    write_pictures(root / "three", [coded((1,)), coded((0,))])
    done = predict_series(classifier(0, 3), find_series(root), tmp_path / "out", ASKED)
    assert done.failed == 1
    assert done.lines[0].startswith("scans/two: ")
    assert done.lines[-1] == "2 of 3 series, 5 slices: a class each, in predictions.csv."
    rows = rows_of(tmp_path / "out" / "predictions.csv")
    assert [row["class"] for row in rows] == [f"class_{n}" for n in (2, 0, 2, 1, 0)]
    assert [row["name"] for row in rows[:3]] == ["slice_1", "slice_2", "slice_3"]
    assert float(rows[0]["probability"]) == float(rows[0]["p_class_2"]) == pytest.approx(0.9)
    votes = rows_of(tmp_path / "out" / "series.csv")
    assert (votes[0]["class"], votes[0]["votes"], votes[0]["slices"]) == ("class_2", "2", "3")
    assert float(votes[0]["probability"]) == pytest.approx((0.9 * 2 + 0.05) / 3)
    # A tie of votes and of probabilities goes to the first class.
    assert votes[1]["class"] == "class_0"


def test_a_network_of_one_output_tells_the_second_of_two_classes():
    def answer(images: Tensor) -> Tensor:
        return images[:, 0, 0, :1] / 10

    told = trained("classification", ("no", "yes"), answer)
    answerer = Answerer(trained=told, prepare=Halved)
    found = answerer.classify([coded((7,)), coded((2,))])
    np.testing.assert_allclose(found, [[0.3, 0.7], [0.8, 0.2]], atol=1e-6)
    assert (answerer.name_of(1), answerer.name_of(2)) == ("yes", "2")


def test_slices_of_many_sizes_are_asked_together_only_where_they_fit():
    sizes: list[tuple[int, ...]] = []

    def answer(images: Tensor) -> Tensor:
        sizes.append(tuple(images.shape))
        return stack([images.mean((1, 2, 3)) * 0, images.mean((1, 2, 3)) * 0 + 1], 1)

    answerer = Answerer(
        trained=trained("classification", ("a", "b"), answer), prepare=Halved, batch=2
    )
    pictures = [coded(size=size) for size in [(20, 20)] * 3 + [(24, 20)] * 2]
    assert answerer.classify(pictures).shape == (5, 2)
    assert sizes == [(2, 1, 20, 20), (1, 1, 20, 20), (2, 1, 24, 20)]


def test_masks_lie_on_the_pixels_of_their_pictures_and_scans(tmp_path: Path):
    pictures = [coded(), coded(size=(22, 30)), coded()]
    root = write_pictures(tmp_path / "scans", pictures)
    write_nifti(root / "oblique.nii.gz", volume_of([coded()] * 4))
    out = tmp_path / "out"
    done = predict_series(drawer(LESION_GREY), find_series(root), out, ASKED)
    assert done.lines == ("2 of 2 series, 7 slices: masks.",)
    for number, picture in enumerate(pictures, 1):
        mask = np.asarray(Image.open(out / "scans" / f"slice_{number}.png"))
        np.testing.assert_array_equal(mask, np.where(picture >= LESION_GREY, 255, 0))
    scan, mask = nib.load(root / "oblique.nii.gz"), nib.load(out / "scans" / "oblique.nii.gz")
    np.testing.assert_allclose(mask.affine, scan.affine, atol=1e-5)
    bright = np.asarray(scan.dataobj) >= LESION_GREY
    np.testing.assert_array_equal(np.asarray(mask.dataobj), bright)
    rows = rows_of(out / "masks.csv")
    assert [row["pixels"] for row in rows if row["series"] == "scans"] == [
        str(int((p >= LESION_GREY).sum())) for p in pictures
    ]
    assert {row["class"] for row in rows} == {"foreground"}


def test_several_classes_are_ids(tmp_path: Path):
    def answer(images: Tensor) -> Tensor:
        lesion, cord = images >= LESION_GREY, (images >= CORD_GREY) & (images < LESION_GREY)
        return stack([(~lesion & ~cord), cord, lesion], 1)[:, :, 0].float()

    told = trained("segmentation", ("background", "cord", "lesion"), answer)
    root = write_pictures(tmp_path / "scans", [coded()])
    drawing = Answerer(trained=told, prepare=type("Same", (Halved,), {"restore": same}))
    predict_series(drawing, find_series(root), tmp_path / "out", ASKED)
    mask = np.asarray(Image.open(tmp_path / "out" / "scans" / "slice_1.png"))
    picture = coded()
    np.testing.assert_array_equal(mask, np.digitize(picture, [CORD_GREY, LESION_GREY]))
    names = [row["class"] for row in rows_of(tmp_path / "out" / "masks.csv")]
    assert names == ["cord", "lesion"]


def same(self: Halved, values: np.ndarray) -> np.ndarray:
    return values


def test_thresholds_and_names_of_masks():
    one = np.array([[[0.2, 0.5, 0.8]]])
    assert threshold(one, 0.5).tolist() == [[0, 1, 1]]
    assert threshold(np.concatenate([1 - one, one]), 0.7).tolist() == [[0, 0, 1]]
    three = np.array([[[0.4]], [[0.35]], [[0.25]]])
    assert threshold(three, 0.1).tolist() == [[0]]
    assert labels_of(None, 1).names == ("foreground",)
    assert labels_of(("lesion",), 2).names == ("lesion",)
    assert labels_of(None, 3).names == ("class_1", "class_2")


def test_devices_that_are_not_there_are_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert [choose_device(wish) for wish in ("auto", "cpu", "cuda:0")] == ["cpu"] * 3
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert [choose_device(wish) for wish in ("auto", "cpu", "cuda:1")] == ["cuda", "cpu", "cuda:1"]
    with pytest.raises(ConfigError, match="the last CUDA card here is cuda:1"):
        choose_device("cuda:2")
    with pytest.raises(ConfigError, match="'gpu' is none of auto"):
        choose_device("gpu")
