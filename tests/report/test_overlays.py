import re

import numpy as np
import pytest
from nibabel import Nifti1Image, save
from PIL import Image

from delineate.errors import DataError
from delineate.labels import Class, Labels
from delineate.report.overlays import draw_plane
from delineate.report.record import Scan
from delineate.report.view import planes_of, read_view

LABELS = Labels.from_names({"a": 1})
COLOURS = {"a": "#ff0000", "b": "#00ff00"}


def scan(folder, image, truth, prediction, spacing=(1.0, 1.0, 1.0)):
    paths = {}
    for name, array in (("image", image), ("truth", truth), ("prediction", prediction)):
        paths[name] = folder / f"{name}.nii"
        save(Nifti1Image(array, np.diag((*spacing, 1.0))), paths[name])
    return Scan(
        id="case", image=str(paths["image"]), truth=str(paths["truth"]),
        predictions={"run": paths["prediction"]},
    )  # fmt: skip


def draw(case, labels=LABELS):
    view = read_view(case, labels)
    name = next(iter(view.predictions), None)
    planes = planes_of(view)
    return "".join(draw_plane(view, plane, COLOURS, prediction=name) for plane in planes)


def boxes(svg, layer):
    """(left, top, right, bottom) in voxels of the outline in each plane."""
    found = []
    for group in re.findall(rf'class="{layer}">(.*?)</g>', svg):
        path = " ".join(re.findall(r' d="(.*?)"', group))
        places = np.array(re.findall(r"([\d.]+) ([\d.]+)", path), float)
        found.append((*places.min(0), *places.max(0)))
    return found


def test_planes_go_through_the_largest_foreground_with_the_patients_right_on_the_left(tmp_path):
    shape = (10, 12, 8)
    truth = np.zeros(shape, np.uint8)
    truth[7:9, 1:4, 5:7] = 1  # right, behind, above
    svg = draw(scan(tmp_path, truth.astype(np.float32), truth, truth))
    axial, coronal, sagittal = boxes(svg, "truth")
    assert axial == (1, 8, 3, 11)  # the right of the patient is at the left, behind is below
    assert coronal == (1, 1, 3, 3)  # above is up
    assert sagittal == (8, 1, 11, 3)  # the nose points to the left
    assert boxes(svg, "prediction") == [axial, coronal, sagittal]
    assert re.findall(r'class="edge".*?>(\w)<', svg) == list("RLAPRLSIAPSI")


def test_long_voxels_are_shown_in_their_true_proportions(tmp_path):
    truth = np.zeros((10, 10, 4), np.uint8)
    truth[4:6, 4:6, 1:3] = 1
    svg = draw(scan(tmp_path, truth.astype(np.float32), truth, truth, (1.0, 1.0, 5.0)))
    assert re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg) == [
        ("420.0", "420.0"),
        ("210.0", "420.0"),
        ("210.0", "420.0"),
    ]


def test_an_empty_truth_shows_where_the_prediction_is(tmp_path):
    prediction = np.zeros((9, 9, 9), np.uint8)
    prediction[6:8, 6:8, 6:8] = 1
    empty = np.zeros_like(prediction)
    svg = draw(scan(tmp_path, empty.astype(np.float32), empty, prediction))
    assert boxes(svg, "prediction")[0] == (1, 1, 3, 3)
    assert 'class="truth"></g>' in svg


def test_a_picture_is_one_upright_plane(tmp_path):
    mask = np.zeros((6, 12), np.uint8)
    mask[0:2, 9:12] = 1
    paths = {}
    for name, array in (("image", mask * 200), ("truth", mask)):
        paths[name] = tmp_path / f"{name}.png"
        Image.fromarray(array).save(paths[name])
    truth = paths["truth"]
    svg = draw(Scan(id="p", image=str(paths["image"]), truth=str(truth), predictions={"r": truth}))
    assert boxes(svg, "truth") == [(9, 0, 12, 2)]
    assert "edge" not in svg


def test_errors_tell_the_missed_from_the_extra_and_from_a_wrong_class(tmp_path):
    truth, prediction = np.zeros((2, 12, 6, 6), np.uint8)
    truth[2:4, 2:4, 2:4] = 1
    prediction[8:10, 2:4, 2:4] = 1
    truth[5:7, 2:4, 2:4], prediction[5:7, 2:4, 2:4] = 1, 2
    svg = draw(
        scan(tmp_path, truth.astype(np.float32), truth, prediction),
        Labels.from_names({"a": 1, "b": 2}),
    )
    axial = re.search(r'<g class="errors">(.*?)</g>', svg)[1]
    found = {
        kind: {float(x) for x in re.findall(r"[ML]([\d.]+) ", path)}
        for kind, path in re.findall(r'class="(\w+)" d="(.*?)"', axial)
    }
    # From right to left: the first voxel of the array is the last column.
    assert {kind: (min(x), max(x)) for kind, x in found.items()} == {
        "missed": (8, 10), "extra": (2, 4), "wrong": (5, 7),
    }  # fmt: skip
    assert "4 voxels missed, 4 extra, 4 of a wrong class" in svg


def test_voxels_without_a_verdict_are_no_errors(tmp_path):
    truth, prediction = np.zeros((2, 8, 8, 8), np.uint8)
    truth[2:6, 2:6, 2:6] = 9
    truth[3:5, 3:5, 3:5] = prediction[2:6, 2:6, 2:6] = 1
    labels = Labels(classes=(Class(name="a", id=1),), ignore=9)
    svg = draw(scan(tmp_path, truth.astype(np.float32), truth, prediction), labels)
    assert '<g class="errors"></g>' in svg
    assert boxes(svg, "truth")[0] == (3, 3, 5, 5)


@pytest.mark.parametrize("missing", ["truth", "predictions"])
def test_without_truth_or_prediction_the_other_is_drawn_and_there_are_no_errors(tmp_path, missing):
    mask = np.zeros((9, 9, 9), np.uint8)
    mask[2:5, 2:5, 2:5] = 1
    case = scan(tmp_path, mask.astype(np.float32), mask, mask)
    parts = {"truth": case.truth, "predictions": case.predictions, missing: None}
    svg = draw(Scan(id="c", image=case.image, truth=parts["truth"],
                    predictions=parts["predictions"] or {}))  # fmt: skip
    assert svg.count('class="truth"') == (0 if missing == "truth" else 3)
    assert svg.count('class="prediction"') == (3 if missing == "truth" else 0)
    assert "errors" not in svg


def test_a_mask_on_another_grid_is_named_with_both_sizes(tmp_path):
    small, large = np.zeros((4, 4, 4), np.uint8), np.zeros((4, 5, 4), np.uint8)
    with pytest.raises(DataError) as caught:
        read_view(scan(tmp_path, large.astype(np.float32), small, large), LABELS)
    assert str(caught.value) == (
        "case: the truth is 4x4x4 but the scan is 4x5x4 (canonical axes). "
        "Fix: give masks on the scan's own grid."
    )


def test_an_outline_of_a_large_slice_is_drawn_coarser_over_the_same_place(tmp_path):
    truth = np.zeros((600, 600, 3), np.uint8)
    truth[200:400, 200:400] = 1
    svg = draw(scan(tmp_path, truth.astype(np.float32), truth, truth))
    scale = float(re.search(r'transform="scale\(([\d.]+)', svg)[1])
    left, _, right, _ = boxes(svg, "truth")[0]
    assert (left * scale * 600 / 420, right * scale * 600 / 420) == pytest.approx((200, 400), abs=2)
    assert len(svg) < 60_000


def test_a_ct_scan_is_shown_in_the_window_of_its_plan_or_else_of_soft_tissue(tmp_path):
    mask = np.zeros((4, 4, 4), np.uint8)
    hounsfield = np.full((4, 4, 4), -1000, np.float32)
    hounsfield[2:] = 50
    case = scan(tmp_path, hounsfield, mask, mask)
    assert read_view(case, LABELS).window == (-200, 300)
    assert read_view(case, LABELS, window=(-50, 150)).window == (-50, 150)
    assert read_view(scan(tmp_path, hounsfield + 1000, mask, mask), LABELS).window != (-200, 300)
