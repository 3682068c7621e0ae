"""What an export is compared on: windows of a scan, cut and padded as in prediction."""

from pathlib import Path

import numpy as np
import pytest
import torch
from finished_runs import PATIENTS, PLAN, changed, finish, write_scans

from delineate.data import preprocess, read_case
from delineate.datasets import Case
from delineate.errors import DataError
from delineate.export import first_scan, noise_sample, scan_sample
from delineate.plan import Network

FLAT = changed(
    patch=(16, 16, 1),
    network=Network(
        features=(8, 16),
        strides=((1, 1), (2, 2)),
        kernels=((3, 3), (3, 3)),
        convolutions=(2, 2),
    ),
)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scans(tmp_path_factory.mktemp("scans") / "all", shape=(20, 18, 12))


def test_windows_are_of_the_prepared_scan_and_a_small_one_is_padded(scans: Path):
    path = str(scans / f"{PATIENTS[0]}_0000.nii.gz")
    sample = scan_sample([path], PLAN)
    image = preprocess(read_case(Case(id="a", images=(path,))), PLAN).array
    assert [tuple(batch.shape) for batch in sample.batches] == [
        (1, 1, 16, 16, 16),
        (3, 1, 16, 16, 16),
    ]
    centre = sample.batches[0][0, 0].numpy()
    np.testing.assert_array_equal(centre[:, :, 2:14], image[0, 2:18, 1:17])
    assert not centre[:, :, :2].any()
    assert not centre[:, :, 14:].any()
    assert sample.source == "windows of a scan"


def test_a_network_of_two_dimensions_sees_slices(scans: Path):
    path = scans / f"{PATIENTS[0]}_0000.nii.gz"
    for sample in (scan_sample([path], FLAT), noise_sample(FLAT)):
        assert [tuple(batch.shape) for batch in sample.batches] == [(1, 1, 16, 16), (3, 1, 16, 16)]


def test_noise_is_the_same_each_time_and_says_what_it_is():
    first, again = noise_sample(PLAN), noise_sample(PLAN)
    assert all(torch.equal(a, b) for a, b in zip(first.batches, again.batches, strict=True))
    assert first.source == "noise, as no scan was given"


def test_several_scans_to_compare_on_are_a_mistake(scans: Path):
    with pytest.raises(DataError, match="4 scans are given to compare on"):
        scan_sample([scans], PLAN)


def test_the_first_held_out_scan_that_is_still_there_is_taken(scans: Path, tmp_path: Path):
    run = finish(tmp_path / "run", scans, held_out=(1, 2))
    assert first_scan(run) == (str(scans / f"{PATIENTS[1]}_0000.nii.gz"),)
    gone = finish(tmp_path / "gone", tmp_path / "nowhere")
    assert first_scan(gone) is None
    assert first_scan(tmp_path / "model.zip") is None
