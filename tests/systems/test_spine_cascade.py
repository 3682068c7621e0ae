"""The chain over a series, by networks whose answers stand in the pixels."""

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from spine_series import (
    CORD_GREY,
    GATES,
    LESION_GREY,
    SPINE,
    coded,
    networks,
    volume_of,
    write_dicom,
    write_nifti,
    write_pictures,
)

from delineate.systems.spine.cascade.chain import run_cascade
from delineate.systems.spine.cascade.outcome import Outcome
from delineate.systems.spine.cascade.report import closing_lines, write_reports
from delineate.systems.spine.cascade.settings import CascadeSettings

SETTINGS = CascadeSettings()


def run(place: Path, out: Path, settings: CascadeSettings = SETTINGS, *, cord: bool = True):
    return run_cascade(settings, networks(settings, cord=cord), place, out)


def one(place: Path, out: Path, settings: CascadeSettings = SETTINGS, *, cord: bool = True):
    (outcome,) = run(place, out, settings, cord=cord)
    return outcome


def lesion_in_cord(picture: np.ndarray) -> np.ndarray:
    # Of what is drawn, the cord is as bright as the lesion or darker.
    return (picture >= LESION_GREY) & (picture >= CORD_GREY)


@pytest.mark.parametrize(
    ("codes", "stage", "reason"),
    [
        ((12, 2, 3, 1), "anatomy", "0 of 5 votes for class_141 or class_142 or 7 more: class_12 5"),
        ((145, 1, 3, 1), "location_view", "0 of 5 votes for class_2: class_1 5"),
        ((145, 2, 4, 1), "sequence", "0 of 5 votes for class_3: class_4 5"),
        ((145, 2, 3, 0), "spinal_cord", "no slice is class_1"),
    ],
)
def test_a_series_stops_at_the_gate_that_refuses_it(
    codes: tuple[int, ...], stage: str, reason: str, tmp_path: Path
):
    place = write_pictures(tmp_path / "t2", [coded(codes)] * 5)
    outcome = one(place, tmp_path / "out")
    assert (outcome.state, outcome.stage) == ("rejected", stage)
    assert outcome.reason == reason
    asked = GATES[: GATES.index(stage) + 1]
    assert all(tuple(v.answers) == asked for v in outcome.slices)
    assert not outcome.files
    assert not (tmp_path / "out").exists()


def test_most_slices_decide_and_slices_without_cord_are_left_out(tmp_path: Path):
    pictures = [coded()] * 3 + [coded((12, 1, 4, 1))] * 2 + [coded((145, 2, 3, 0))]
    outcome = one(write_pictures(tmp_path / "t2", pictures), tmp_path / "out")
    assert outcome.state == "accepted"
    assert dict(outcome.ballots["anatomy"].votes) == {"class_145": 4, "class_12": 2}
    reasons = [v.reason for v in outcome.slices]
    assert reasons == [""] * 5 + ["spinal_cord: class_0 (0.90)"]
    assert outcome.slices[-1].lesion_pixels is None
    # The last slice has a mask like the others, and it is empty.
    files = sorted((tmp_path / "out" / "t2").glob("predict_*.png"))
    drawn = [np.asarray(Image.open(file)).any() for file in files]
    assert drawn == [True] * 5 + [False]


def test_lesions_outside_the_cord_are_removed_where_the_cord_is_drawn(tmp_path: Path):
    picture = coded()
    place = write_pictures(tmp_path / "t2", [picture] * 4)
    outside = one(place, tmp_path / "out", cord=False)
    bright = int((picture >= LESION_GREY).sum())
    assert outside.slices[0].lesion_pixels == bright
    assert outside.slices[0].cord_pixels is None
    assert not list((tmp_path / "out" / "t2").glob("cord_*"))
    inside = one(place, tmp_path / "out")
    assert inside.slices[0].lesion_pixels == int(lesion_in_cord(picture).sum())
    assert len(list((tmp_path / "out" / "t2").glob("cord_*"))) == 4


@pytest.mark.parametrize("kind", ["nifti", "dicom", "pictures"])
def test_the_same_slices_give_the_same_masks_in_every_form(kind: str, tmp_path: Path):
    pictures = [coded() for _ in range(4)]
    pictures[1][8:12, 13:16] = CORD_GREY  # no lesion within the cord on this one
    if kind == "nifti":
        place = write_nifti(tmp_path / "t2" / "scan.nii.gz", volume_of(pictures))
    else:
        writer = write_dicom if kind == "dicom" else write_pictures
        place = writer(tmp_path / "t2", pictures)
    outcome = one(place, tmp_path / "out")
    expected = [int(lesion_in_cord(p).sum()) for p in pictures]
    assert [v.lesion_pixels for v in outcome.slices] == expected
    if kind == "pictures":
        assert (outcome.lesion_ml, outcome.lesions) == (None, 4)
        return
    # Lesions of slices that lie on each other are one.
    voxel = 3.0 * 0.9 * 0.8 if kind == "dicom" else abs(np.linalg.det(affine_of(place)))
    assert outcome.lesion_ml == pytest.approx(sum(expected) * voxel / 1000)
    assert outcome.lesions == 1
    if kind == "nifti":
        mask = nib.load(tmp_path / "out" / "t2" / "predict_scan.nii.gz")
        drawn = volume_of([lesion_in_cord(p).astype(np.uint8) for p in pictures])
        np.testing.assert_array_equal(np.asarray(mask.dataobj), drawn.transpose(1, 2, 0)[::-1])


def affine_of(path: Path) -> np.ndarray:
    return nib.load(path).affine[:3, :3]


def test_few_slices_are_rejected_before_any_network_is_asked(tmp_path: Path):
    place = write_pictures(tmp_path / "t2", [coded()] * 3)
    outcome = one(place, tmp_path / "out")
    assert (outcome.state, outcome.stage) == ("rejected", "slices")
    assert outcome.reason == "3 slices, at least 4 are asked"
    assert not outcome.slices[0].answers
    lenient = SETTINGS.model_copy(update={"minimum_slices": 1})
    assert one(place, tmp_path / "out", lenient).state == "accepted"


def test_masks_of_a_series_that_is_not_accepted_any_more_are_removed(tmp_path: Path):
    place, out = write_pictures(tmp_path / "t2", [coded()] * 4), tmp_path / "out"
    previewed = SETTINGS.model_copy(update={"preview": True})
    outcome = one(place, out, previewed)
    files = {f"t2/{p}_slice_{n}.png" for p in ("predict", "cord") for n in range(1, 5)}
    assert set(outcome.files) == files | {"t2/preview.png"}
    assert all((out / file).is_file() for file in outcome.files)
    write_pictures(place, [coded((1, 2, 3, 1))] * 4)
    one(place, out)
    assert not list((out / "t2").iterdir())


def test_a_series_that_cannot_be_read_fails_alone_and_all_is_reported(tmp_path: Path):
    scans = tmp_path / "scans"
    write_pictures(scans / "good", [coded()] * 4)
    write_pictures(scans / "knee", [coded((3, 2, 3, 1))] * 4)
    write_pictures(scans / "torn", [coded()] * 4)
    (scans / "torn" / "slice_2.png").write_bytes(b"no picture")
    outcomes = run(scans, tmp_path / "out")
    assert [o.state for o in outcomes] == ["accepted", "rejected", "failed"]
    assert "slice_2.png: not a readable picture" in outcomes[2].reason
    lines = closing_lines(outcomes)
    assert lines[0] == "scans/good: 4 lesions, in 4 of 4 slices looked at"
    assert lines[1].startswith("scans/knee: rejected at anatomy: 0 of 4 votes for class_141 or")
    assert lines[-1] == "3 series: 1 accepted, 1 rejected, 1 failed."
    check_reports(tmp_path / "out", outcomes)


def check_reports(out: Path, outcomes: tuple[Outcome, ...]) -> None:
    write_reports(out, outcomes, SETTINGS, networks(SETTINGS))
    said = json.loads((out / "report.json").read_text())
    assert said["series"][1]["stage"] == "anatomy"
    assert said["series"][1]["ballots"]["anatomy"]["votes"] == {"class_3": 4}
    assert said["settings"]["minimum_slices"] == 4
    with (out / "report.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows] == ["accepted", "rejected", "failed"]
    assert rows[0]["lesions"] == "4"
    assert rows[1]["lesions"] == ""
    with (out / "slices.csv").open() as file:
        slices = list(csv.DictReader(file))
    assert len(slices) == 8
    assert slices[0]["sequence"] == "class_3"
    assert float(slices[0]["sequence_probability"]) == pytest.approx(0.9)
    assert slices[4]["sequence"] == ""
    assert (out / "prediction.json").is_file()


def test_a_preview_shows_the_slices_that_were_looked_at(tmp_path: Path):
    pictures = [coded()] * 3 + [coded((145, 2, 3, 0))]
    place = write_nifti(tmp_path / "t2" / "scan.nii", volume_of(pictures))
    outcome = one(place, tmp_path / "out", SETTINGS.model_copy(update={"preview": True}))
    picture = np.asarray(Image.open(tmp_path / "out" / "t2" / "preview_scan.png").convert("RGB"))
    assert "t2/preview_scan.png" in outcome.files
    # Both outlines are there in their colours.
    for colour in ((0xFF, 0x3D, 0x8B), (0x2F, 0xD6, 0xDD)):
        assert (np.abs(picture.astype(int) - colour).max(-1) < 30).sum() > 50


def test_the_defaults_are_the_documented_ones():
    keep = {gate.name: gate.keep for gate in SETTINGS.gates}
    assert keep == {
        "anatomy": tuple(range(141, 150)), "location_view": (2,), "sequence": (3,),
        "spinal_cord": (1,),
    }  # fmt: skip
    assert [gate.checkpoint for gate in SETTINGS.gates] == [
        "anatomy", "spine_location_view", "spine_sequence", "spinal_cord",
    ]  # fmt: skip
    assert SPINE[0] in keep["anatomy"]
    assert SETTINGS.minimum_slices == 4
