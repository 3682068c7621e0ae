import numpy as np
import pytest
from nibabel import Nifti1Image, save
from PIL import Image

from delineate.errors import DataError
from delineate.labels import Labels
from delineate.metrics import score_masks
from delineate.report import plot
from delineate.report.plot import write_plot
from delineate.report.record import Scan
from delineate.report.sheet import draw_sheet

LABELS = Labels.from_names({"core": 1, "rim": 2})


def phantom_truth():
    truth = np.zeros((20, 24, 16), np.uint8)
    truth[5:15, 6:18, 4:12] = 2
    truth[8:12, 9:15, 4:10] = 1
    return truth


@pytest.fixture
def case(tmp_path):
    truth = phantom_truth()
    arrays = {"image": truth * np.float32(50) + 20, "truth": truth, "found": np.roll(truth, 1, 0)}
    for name, array in arrays.items():
        save(Nifti1Image(array, np.diag((1.0, 1.0, 2.0, 1.0))), tmp_path / f"{name}.nii.gz")
    return tmp_path


def scan(folder, *, truth=True, prediction=True):
    return Scan(
        id="image",
        image=str(folder / "image.nii.gz"),
        truth=str(folder / "truth.nii.gz") if truth else None,
        predictions={"prediction": folder / "found.nii.gz"} if prediction else {},
    )


@pytest.fixture
def sheets(monkeypatch):
    """What is drawn, beside drawing it."""
    drawn = []
    monkeypatch.setattr(plot, "draw_sheet", lambda sheet: drawn.append(sheet) or draw_sheet(sheet))
    return drawn


def test_three_planes_with_scan_prediction_truth_and_errors(case, sheets):
    out = write_plot(scan(case), case / "plots" / "a.png", labels=LABELS)
    (sheet,) = sheets
    titles = [[panel.title for panel in row] for row in sheet.rows]
    assert titles == [["scan", "prediction", "truth", "errors"]] * 3
    assert list(sheet.legend) == ["core", "rim", "missed", "extra", "wrong class"]
    assert [row[0].letters for row in sheet.rows] == ["RLAP", "RLSI", "APSI"]
    with Image.open(out) as picture:
        assert picture.format == "PNG"
        assert picture.width > 4 * 200
        colours = {pixel for _, pixel in picture.convert("RGB").getcolors(1 << 24)}
    assert len(colours) > 100


def test_the_title_gives_dice_as_evaluate_does(case, sheets):
    write_plot(scan(case), case / "a.png", labels=LABELS)
    truth = phantom_truth()
    rows = score_masks(np.roll(truth, 1, 0), truth, LABELS, (1.0, 1.0, 2.0))
    figures = "   ".join(f"{row.label} {row.values['dice']:.3f}" for row in rows)
    assert sheets[0].subtitle == f"Dice  {figures}"


@pytest.mark.parametrize(
    ("given", "titles"),
    [
        ({"truth": False}, ["scan", "prediction"]),
        ({"prediction": False}, ["scan", "truth"]),
        ({"truth": False, "prediction": False}, ["scan"]),
    ],
)
def test_what_is_not_given_is_not_drawn(case, sheets, given, titles):
    write_plot(scan(case, **given), case / "a.png", plane="axial")
    assert [panel.title for panel in sheets[0].rows[0]] == titles
    assert sheets[0].subtitle == ""


def test_without_labels_every_id_is_a_class(case, sheets):
    write_plot(scan(case), case / "a.png", plane="coronal", place=11)
    assert list(sheets[0].legend)[:2] == ["1", "2"]
    assert sheets[0].rows[0][0].corner == "coronal 11"


def test_a_colour_picture_is_one_panel_row(tmp_path, sheets):
    Image.new("RGB", (40, 30), (200, 10, 10)).save(tmp_path / "photo.png")
    mask = np.zeros((30, 40), np.uint8)
    mask[5:9, 5:9] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    photo = Scan(id="photo", image=str(tmp_path / "photo.png"), truth=str(tmp_path / "mask.png"))
    out = write_plot(photo, tmp_path / "a.png")
    assert [len(row) for row in sheets[0].rows] == [2]
    with Image.open(out) as picture:
        pixel = picture.convert("RGB").getpixel((24 + 200, 300))
    assert pixel[0] > 150 > 50 > pixel[1]


def test_overlapping_masks_are_drawn_each_for_itself(tmp_path, sheets):
    masks = np.zeros((12, 12, 6, 2), np.uint8)
    masks[2:8, 2:8, 1:4, 0] = 1
    masks[4:10, 4:10, 2:5, 1] = 1
    save(Nifti1Image(masks, np.eye(4)), tmp_path / "m.nii.gz")
    save(Nifti1Image(masks[..., 0].astype(np.float32), np.eye(4)), tmp_path / "image.nii.gz")
    both = Scan(id="i", image=str(tmp_path / "image.nii.gz"), truth=str(tmp_path / "m.nii.gz"),
                predictions={"p": tmp_path / "m.nii.gz"})  # fmt: skip
    write_plot(both, tmp_path / "a.png", plane="axial", place=3)
    assert set(sheets[0].rows[0][1].layers) == {"1", "2"}
    assert sheets[0].subtitle == "Dice  1 1.000   2 1.000"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"plane": "axial", "place": 16},
            "image: there is no axial slice 16; they run from 0 to 15.",
        ),
        ({"place": 3}, "plot: --slice counts along one axis. Fix: add --plane axial, for example."),
    ],
)
def test_a_slice_that_is_not_there_is_refused(case, arguments, message):
    with pytest.raises(DataError) as caught:
        write_plot(scan(case), case / "a.png", **arguments)
    assert str(caught.value) == message
    assert not (case / "a.png").exists()


def test_only_a_png_is_written(case):
    with pytest.raises(DataError, match=r"a\.jpg: a plot is a PNG\. Fix: give a name that ends in"):
        write_plot(scan(case), case / "a.jpg")
