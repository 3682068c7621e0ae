import re

import numpy as np
from nibabel import Nifti1Image, save
from PIL import Image

from delineate.labels import Labels
from delineate.report.overlays import draw_case
from delineate.report.record import Scan

LABELS = Labels.from_names({"a": 1})
COLOURS = {"a": "#ff0000"}


def scan(folder, image, truth, prediction, spacing=(1.0, 1.0, 1.0)):
    paths = {}
    for name, array in (("image", image), ("truth", truth), ("prediction", prediction)):
        paths[name] = folder / f"{name}.nii"
        save(Nifti1Image(array, np.diag((*spacing, 1.0))), paths[name])
    return Scan(
        id="case", image=str(paths["image"]), truth=str(paths["truth"]),
        prediction=paths["prediction"],
    )  # fmt: skip


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
    svg = draw_case(scan(tmp_path, truth.astype(np.float32), truth, truth), LABELS, COLOURS)
    axial, coronal, sagittal = boxes(svg, "truth")
    assert axial == (1, 8, 3, 11)  # the right of the patient is at the left, behind is below
    assert coronal == (1, 1, 3, 3)  # above is up
    assert sagittal == (8, 1, 11, 3)  # the nose points to the left
    assert boxes(svg, "prediction") == [axial, coronal, sagittal]
    assert re.findall(r'class="edge".*?>(\w)<', svg) == list("RLAPRLSIAPSI")


def test_long_voxels_are_shown_in_their_true_proportions(tmp_path):
    truth = np.zeros((10, 10, 4), np.uint8)
    truth[4:6, 4:6, 1:3] = 1
    svg = draw_case(
        scan(tmp_path, truth.astype(np.float32), truth, truth, (1.0, 1.0, 5.0)), LABELS, COLOURS
    )
    assert re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg) == [
        ("420.0", "420.0"),
        ("210.0", "420.0"),
        ("210.0", "420.0"),
    ]


def test_an_empty_truth_shows_where_the_prediction_is(tmp_path):
    prediction = np.zeros((9, 9, 9), np.uint8)
    prediction[6:8, 6:8, 6:8] = 1
    empty = np.zeros_like(prediction)
    svg = draw_case(scan(tmp_path, empty.astype(np.float32), empty, prediction), LABELS, COLOURS)
    assert boxes(svg, "prediction")[0] == (1, 1, 3, 3)
    assert 'class="truth"></g>' in svg


def test_a_picture_is_one_upright_plane(tmp_path):
    mask = np.zeros((6, 12), np.uint8)
    mask[0:2, 9:12] = 1
    paths = {}
    for name, array in (("image", mask * 200), ("truth", mask)):
        paths[name] = tmp_path / f"{name}.png"
        Image.fromarray(array).save(paths[name])
    case = Scan(
        id="p", image=str(paths["image"]), truth=str(paths["truth"]), prediction=paths["truth"]
    )
    svg = draw_case(case, LABELS, COLOURS)
    assert boxes(svg, "truth") == [(9, 0, 12, 2)]
    assert "edge" not in svg
