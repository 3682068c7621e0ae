import nibabel
import numpy as np
import pytest

from delineate.errors import DataError
from delineate.labels import Class, Labels
from delineate.metrics import (
    Measures,
    calibrate,
    evaluate_folders,
    evaluate_probabilities,
    join_tables,
    measure_calibration,
)

RNG = np.random.default_rng(10)
TWO = Labels.from_names({"a": 1, "b": 2})


def by_bins(p, t, bins=15):
    total = 0.0
    for low in range(bins):
        inside = (p >= low / bins) & ((p < (low + 1) / bins) | (low == bins - 1))
        if inside.any():
            total += inside.mean() * abs(p[inside].mean() - t[inside].mean())
    return total


def test_errors_equal_a_loop_over_the_bins():
    p = RNG.random((9, 8, 7))
    t = RNG.random((9, 8, 7)) < p**2
    found = calibrate(p, t)
    assert found.ece == pytest.approx(by_bins(p, t))
    assert found.brier == pytest.approx(((p - t) ** 2).mean())
    assert found.voxels.sum() == p.size


def test_honest_probabilities_have_little_error_and_bold_ones_more():
    p = RNG.random(200_000)
    t = RNG.random(200_000) < p
    assert calibrate(p, t).ece < 0.01
    assert calibrate((p > 0.5).astype(float), t).ece > 0.2


def test_certain_and_right_is_perfect():
    t = RNG.random(100) < 0.3
    found = calibrate(t.astype(np.float32), t)
    assert (found.ece, found.brier) == (0, 0)


def test_unions_are_sums_and_ignored_voxels_are_left_out():
    labels = Labels(
        classes=(
            Class(name="all"),
            Class(name="a", id=1, parent="all"),
            Class(name="b", id=2, parent="all"),
        ),
        ignore=9,
    )
    scores = RNG.random((3, 6, 6))
    p = (scores / scores.sum(0)).astype(np.float32)
    truth = RNG.integers(-1, 3, (6, 6))
    found = measure_calibration(p, truth, labels)
    known = truth >= 0
    expected = calibrate(1 - p[0].astype(float)[known], truth[known] > 0)
    assert found["all"].brier == pytest.approx(expected.brier, rel=1e-5)
    assert found["a"].brier == pytest.approx(calibrate(p[1][known], truth[known] == 1).brier)


def test_overlapping_classes_have_a_channel_each():
    labels = Labels(classes=(Class(name="a", id=1), Class(name="b", id=2)), overlapping=True)
    p, truth = RNG.random((2, 5, 5)), RNG.integers(0, 2, (2, 5, 5))
    found = measure_calibration(p, truth, labels)
    assert found["b"].brier == pytest.approx(((p[1] - truth[1]) ** 2).mean())


@pytest.fixture
def folders(tmp_path):
    for case in ("one", "two"):
        truth = RNG.integers(0, 3, (5, 4, 3))
        p = np.moveaxis(np.eye(3)[truth], -1, 0)
        for folder, array in (("truth", truth), ("masks", truth), ("p", np.moveaxis(p, 0, -1))):
            (tmp_path / folder).mkdir(exist_ok=True)
            image = nibabel.Nifti1Image(array.astype(np.float32), np.eye(4))
            nibabel.save(image, tmp_path / folder / f"{case}.nii.gz")
    return tmp_path


def test_a_folder_of_probabilities_gives_columns_beside_those_of_the_masks(folders):
    table = evaluate_probabilities(folders / "p", folders / "truth", TWO, workers=1)
    assert table.metrics == ("ece", "brier")
    assert table.mean("brier") == table.mean("ece") == 0
    masks = evaluate_folders(
        folders / "masks", folders / "truth", labels=TWO, measures=Measures(groups=("overlap",))
    )
    assert join_tables(masks, table).metrics[-2:] == ("ece", "brier")


def test_logits_and_other_channels_are_refused(folders):
    truth = np.zeros((5, 4), int)
    with pytest.raises(
        DataError, match=r"lie in -1..0.5, not in 0..1.\n  Fix: write probabilities"
    ):
        measure_calibration(np.linspace(-1, 0.5, 60).reshape(3, 5, 4), truth, TWO)
    three = Labels.from_names({"a": 1, "b": 2, "c": 3})
    with pytest.raises(DataError, match=r"one: the probabilities are \(3, 5, 4, 3\), the labels"):
        evaluate_probabilities(folders / "p", folders / "truth", three, workers=1)
