import nibabel
import numpy as np
import pytest

from delineate.errors import DataError
from delineate.labels import Labels
from delineate.metrics import Measures, evaluate_folders

RNG = np.random.default_rng(3)


def save(path, mask, affine=None):
    path.parent.mkdir(exist_ok=True)
    affine = np.diag((1.0, 1.0, 2.0, 1.0)) if affine is None else affine
    nibabel.save(nibabel.Nifti1Image(mask.astype(np.uint8), affine), path)


@pytest.fixture
def folders(tmp_path):
    for case in ("case_1", "case_2"):
        mask = RNG.integers(0, 3, (5, 6, 4))
        save(tmp_path / "truth" / f"{case}.nii.gz", mask)
        save(tmp_path / "found" / f"{case}.nii.gz", mask)
    return tmp_path / "found", tmp_path / "truth"


def test_equal_folders_score_one_for_every_id_that_occurs(folders):
    table = evaluate_folders(*folders, measures=Measures(tolerance_mm=1.0))
    assert table.cases == ("case_1", "case_2")
    assert table.labels == ("1", "2")
    assert table.mean("dice") == 1
    assert table.mean("hd95_mm") == 0
    assert table.mean("surface_dice_1mm") == 1


def test_a_mask_stored_in_other_axes_is_compared_in_place(folders):
    found, truth = folders
    mask = np.asarray(nibabel.Nifti1Image.load(truth / "case_1.nii.gz").dataobj)
    flipped = np.diag((-1.0, 1.0, 2.0, 1.0))
    flipped[0, 3] = len(mask) - 1
    save(found / "case_1.nii.gz", mask[::-1], flipped)
    assert evaluate_folders(found, truth).mean("dice") == 1


def test_the_truth_may_be_named_case_by_case(folders):
    found, truth = folders
    (truth / "case_2.nii.gz").rename(truth / "sub-2_seg.nii.gz")
    labels = Labels.from_names({"one": 1, "two": 2})
    masks = {"case_2": truth / "sub-2_seg.nii.gz"}
    table = evaluate_folders(found, masks, labels=labels, workers=1)
    assert (table.cases, table.labels) == (("case_2",), ("one", "two"))


def test_progress_sees_every_case(folders):
    seen = []

    def progress(items, total, description):
        seen.append((total, description))
        yield from items

    evaluate_folders(*folders, progress=progress)
    assert seen == [(2, "finding labels"), (2, "evaluating")]


def test_missing_predictions_are_listed(folders):
    found, truth = folders
    (found / "case_2.nii.gz").unlink()
    with pytest.raises(DataError, match=r"1 of 2 cases have no prediction: case_2\.\n.*Fix:"):
        evaluate_folders(found, truth)


def test_another_shape_names_the_case(folders):
    found, truth = folders
    save(found / "case_1.nii.gz", np.zeros((5, 6, 5)))
    with pytest.raises(DataError, match="case_1: the prediction is 5x6x5 but the truth is 5x6x4"):
        evaluate_folders(found, truth)


def test_another_place_names_the_case_and_the_distance(folders):
    found, truth = folders
    affine = np.diag((1.0, 1.0, 2.0, 1.0))
    affine[1, 3] = 3
    save(found / "case_1.nii.gz", np.zeros((5, 6, 4)), affine)
    with pytest.raises(DataError, match="case_1: the grids of prediction and truth lie up to 3 mm"):
        evaluate_folders(found, truth)


def test_an_undeclared_id_names_the_case(folders):
    with pytest.raises(DataError, match=r"case_1: the mask holds undeclared values \[2\]"):
        evaluate_folders(*folders, labels=Labels.from_names({"one": 1}))


def test_a_folder_without_masks_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: no true masks here"):
        evaluate_folders(tmp_path / "empty", tmp_path / "empty")
    with pytest.raises(DataError, match="nowhere: no such folder of true masks"):
        evaluate_folders(tmp_path, tmp_path / "nowhere")
