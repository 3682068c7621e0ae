from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from finished_runs import PATIENTS, changed, finish, write_scans
from terminal import delineate

from delineate.inference import Committee, predict_case
from delineate.labels import Labels
from delineate.package.predictor import read_predictor

COARSE = changed(spacing=(2.0, 2.0, 2.0), shape=(10, 9, 8), patch=(8, 8, 8))


@pytest.fixture(scope="module")
def scans(tmp_path_factory) -> Path:
    return write_scans(tmp_path_factory.mktemp("data") / "scans")


@pytest.fixture(scope="module")
def fine(scans, tmp_path_factory) -> Path:
    return finish(tmp_path_factory.mktemp("runs") / "fine", scans)


@pytest.fixture(scope="module")
def coarse(scans, fine) -> Path:
    return finish(fine.parent / "coarse", scans, plan=COARSE, seed=1)


def test_models_of_different_plans_answer_together(scans, fine, coarse, tmp_path):
    scan = scans / f"{PATIENTS[0]}_0000.nii.gz"
    done = delineate("predict", fine, scan, "-o", tmp_path / "masks", "--with", coarse)
    assert done.code == 0, done.err
    models = tuple(read_predictor(path) for path in (fine, coarse))
    expected = predict_case(Committee(models=models), [scan]).mask.array[0]
    (path,) = (tmp_path / "masks").glob("*.nii.gz")
    found = np.asarray(nibabel.load(path).dataobj)
    assert np.array_equal(found, expected)
    alone = predict_case(models[0], [scan]).mask.array[0]
    assert not np.array_equal(found, alone)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--combine", "logits"), "--combine logits: models of different plans meet"),
        ((), "the models of a committee must have the same labels, but there are cord, lesion and"),
    ],
    ids=["logits", "other labels"],
)
def test_what_cannot_answer_together_is_refused(scans, fine, tmp_path, words, message):
    labels = Labels.from_names({"cord": 1, "rim": 3})
    other = finish(tmp_path / "other", scans, plan=replace(COARSE, labels=labels))
    done = delineate("predict", fine, scans, "-o", tmp_path / "masks", "--with", other, *words)
    assert done.code == 2
    assert message in done.err
    assert not list((tmp_path / "masks").glob("*.nii.gz"))
