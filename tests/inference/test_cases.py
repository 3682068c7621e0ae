import csv
import json
import logging

import nibabel
import numpy as np
import pytest
from PIL import Image
from toy_models import (
    FLAT,
    Threshold,
    ids,
    levels,
    make_model,
    make_plan,
    save_scan,
)

from delineate.errors import DataError
from delineate.inference import (
    Committee,
    KeepLargest,
    Outputs,
    find_scans,
    predict_cases,
    take_domain,
)
from delineate.inference.cascade import Cascade, Segment, Stage
from delineate.io import read_volume


def masks_of(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.nii.gz"))


def rows_of(folder):
    with (folder / "volumes.csv").open(newline="") as file:
        return [tuple(row) for row in csv.reader(file)]


def test_a_mask_lies_on_the_scans_own_grid_and_axes(tmp_path):
    image = levels((9, 14, 11))
    affine = np.array([[0, 0, -1.0, 5], [-1, 0, 0, 7], [0, 1, 0, 2], [0, 0, 0, 1]])
    scan = save_scan(tmp_path / "in" / "case.nii.gz", image, affine)
    out = tmp_path / "out"
    assert predict_cases(make_model(), find_scans([scan], 1), out) == ()
    found = nibabel.Nifti1Image.load(out / "case.nii.gz")
    np.testing.assert_array_equal(found.dataobj, ids(image))
    np.testing.assert_allclose(np.asarray(found.affine), affine)


def test_one_bad_scan_is_reported_and_the_rest_is_done(tmp_path):
    save_scan(tmp_path / "in" / "a.nii.gz", levels((8, 8, 8)))
    (tmp_path / "in" / "b.nii.gz").write_bytes(b"not a scan")
    save_scan(tmp_path / "in" / "c.nii.gz", levels((8, 8, 8, 2)))
    save_scan(tmp_path / "in" / "d.nii.gz", levels((8, 8, 8)))
    scans = find_scans([tmp_path / "in"], 1)
    failures = predict_cases(make_model(), scans, tmp_path / "out")
    assert masks_of(tmp_path / "out") == ["a.nii.gz", "d.nii.gz"]
    assert [f.case for f in failures] == ["b", "c"]
    assert str(failures[1]).startswith("c: the image has 2 channels but the plan is for 1: MR.")


def test_a_rerun_keeps_what_is_there_and_does_the_rest(tmp_path):
    for case in "ab":
        save_scan(tmp_path / "in" / f"{case}.nii", levels((8, 8, 8)))
    out = tmp_path / "out"
    mended = np.full((8, 8, 8), 9, np.uint8)
    save_scan(out / "a.nii.gz", mended)
    assert predict_cases(make_model(), find_scans([tmp_path / "in"], 1), out) == ()
    np.testing.assert_array_equal(read_volume(out / "a.nii.gz").array[0], mended)
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.nii.gz")}
    assert len(before) == 2
    assert ("a", "b", "512", "0.512") in rows_of(out)
    assert predict_cases(make_model(), find_scans([tmp_path / "in"], 1), out) == ()
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(rows_of(out)) == 1 + 2 * 2


def test_the_table_says_how_much_there_is_of_every_class(tmp_path):
    image = np.zeros((8, 8, 8), np.float32)
    image[:2, :2, :2] = 1
    image[4, 4, 4] = 2
    save_scan(tmp_path / "in" / "x.nii.gz", image, np.diag((1.0, 1.0, 2.0, 1.0)))
    plan = make_plan(spacing=(1.0, 1.0, 2.0))
    predict_cases(make_model(plan=plan), find_scans([tmp_path / "in"], 1), tmp_path / "out")
    assert rows_of(tmp_path / "out") == [
        ("case", "class", "voxels", "volume_ml"),
        ("x", "a", "8", "0.016"),
        ("x", "b", "1", "0.002"),
    ]


def test_a_row_that_was_cut_off_is_written_anew(tmp_path):
    save_scan(tmp_path / "in" / "x.nii.gz", levels((8, 8, 8)))
    out = tmp_path / "out"
    scans = find_scans([tmp_path / "in"], 1)
    predict_cases(make_model(), scans, out)
    whole = rows_of(out)
    (out / "volumes.csv").write_text("case,class,voxels,volume_ml\nx,a")
    predict_cases(make_model(), scans, out)
    assert rows_of(out) == whole


def test_scans_of_one_name_in_two_folders_do_not_overwrite_each_other(tmp_path):
    images = {side: levels((8, 8, 8), seed) for seed, side in enumerate(("left", "right"))}
    for side, image in images.items():
        save_scan(tmp_path / "in" / side / "T1.nii.gz", image)
    out = tmp_path / "out"
    assert predict_cases(make_model(), find_scans([tmp_path / "in"], 1), out) == ()
    assert masks_of(out) == ["left/T1.nii.gz", "right/T1.nii.gz"]
    for side, image in images.items():
        np.testing.assert_array_equal(read_volume(out / side / "T1.nii.gz").array[0], ids(image))
    assert {row[0] for row in rows_of(out)[1:]} == {"left/T1", "right/T1"}


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (make_model(Threshold(at=0.6)), "its weights differ"),
        (make_model(overlap=0.25), "overlap was 0.5, is 0.25"),
        (make_model(flips=(0,)), r"flips was \[\], is \[0\]"),
        (make_model(plan=make_plan(spacing=(1.0, 1.0, 1.1))), "its plan differs"),
        (make_model(steps=(KeepLargest(),)), "steps was"),
    ],
)
def test_masks_of_two_models_never_mix(tmp_path, other, message):
    save_scan(tmp_path / "in" / "x.nii.gz", levels((8, 8, 8)))
    scans = find_scans([tmp_path / "in"], 1)
    predict_cases(make_model(), scans, tmp_path / "out")
    with pytest.raises(DataError, match=f"holds masks of another model .*{message}"):
        predict_cases(other, scans, tmp_path / "out")


def test_a_cascade_predicts_a_folder_and_its_masks_are_its_own(tmp_path):
    image = levels((8, 8, 8))
    scan = save_scan(tmp_path / "in" / "x.nii.gz", image)

    def cascade(at):
        return Cascade(
            stages=(Stage(name="all", model=make_model(Threshold(at=at)), does=Segment()),)
        )

    scans = find_scans([scan], 1)
    out = tmp_path / "out"
    assert predict_cases(cascade(0.5), scans, out) == ()
    np.testing.assert_array_equal(read_volume(out / "x.nii.gz").array[0], ids(image))
    assert predict_cases(cascade(0.5), scans, out) == ()
    with pytest.raises(DataError, match="its stages differ"):
        predict_cases(cascade(0.6), scans, out)
    with pytest.raises(DataError, match="another kind of model, without weights"):
        predict_cases(make_model(), scans, out)


def test_a_committees_masks_are_its_own(tmp_path):
    scans = find_scans([save_scan(tmp_path / "in" / "x.nii.gz", levels((8, 8, 8)))], 1)
    members = make_model(), make_model(plan=make_plan(spacing=(1.0, 1.0, 1.1)))
    assert predict_cases(Committee(models=members), scans, tmp_path / "out") == ()
    with pytest.raises(DataError, match="its models differ"):
        predict_cases(Committee(models=members[:1]), scans, tmp_path / "out")
    with pytest.raises(DataError, match="combine was probabilities, is vote"):
        predict_cases(Committee(models=members, combine="vote"), scans, tmp_path / "out")
    (tmp_path / "out" / "prediction.json").write_text("{")
    with pytest.raises(DataError, match=r"prediction\.json: cannot be read: .*another folder"):
        predict_cases(Committee(models=members), scans, tmp_path / "out")


def test_what_made_the_masks_names_no_place_and_no_case(tmp_path):
    save_scan(tmp_path / "in" / "Jane_Doe.nii.gz", levels((8, 8, 8)))
    predict_cases(make_model(), find_scans([tmp_path / "in"], 1), tmp_path / "out")
    text = (tmp_path / "out" / "prediction.json").read_text()
    assert "Jane" not in text
    assert str(tmp_path) not in text
    assert set(json.loads(text)) == {"weights", "plan", "overlap", "flips", "combine", "steps"}


def test_what_is_wanted_beside_a_mask_is_made_though_the_mask_is_there(tmp_path):
    save_scan(tmp_path / "in" / "x.nii.gz", levels((8, 8, 8)))
    scans = find_scans([tmp_path / "in"], 1)
    out = tmp_path / "out"
    predict_cases(make_model(), scans, out)
    before = (out / "x.nii.gz").stat().st_mtime_ns
    predict_cases(make_model(), scans, out, outputs=Outputs(probabilities=True))
    assert (out / "x.nii.gz").stat().st_mtime_ns == before
    assert read_volume(out / "probabilities" / "x.nii").array.shape == (3, 8, 8, 8)


def test_a_scan_outside_the_domain_is_predicted_and_warned_of(tmp_path, caplog):
    scan = save_scan(tmp_path / "in" / "x.nii.gz", levels((8, 8, 8)))
    train = [read_volume(scan)] * 10
    dark = save_scan(tmp_path / "in" / "y.nii.gz", levels((8, 8, 8)) + 50)
    model = make_model(domain=take_domain(train, make_plan()))
    with caplog.at_level(logging.WARNING, logger="delineate"):
        assert predict_cases(model, find_scans([scan, dark], 1), tmp_path / "out") == ()
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert any("y: 'MR' has its 50th percentile at 51; training scans had 1" in t for t in told)
    assert not any(t.startswith("x:") for t in told)


def test_a_picture_gives_a_picture(tmp_path):
    image = levels((20, 13)).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "slide.png")
    scans = find_scans([tmp_path / "slide.png"], 1)
    assert predict_cases(make_model(plan=make_plan(**FLAT)), scans, tmp_path / "out") == ()
    found = np.asarray(Image.open(tmp_path / "out" / "slide.png"))
    np.testing.assert_array_equal(found, ids(image))
    assert rows_of(tmp_path / "out")[1] == ("slide", "a", str(int((image == 1).sum())), "")
