"""Six networks trained by the documented YAML, and the chain of them over series of known truth."""

import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image
from spine_cascade_world import CASCADE, draw, slices_of, write_data, write_experiment
from spine_series import OBLIQUE, write_dicom, write_pictures

from delineate.datasets.canvas import Drawing
from delineate.systems.spine.cascade.command import cascade, read_cascade
from delineate.systems.spine.learning.trainer import train
from delineate.systems.spine.prediction.evaluation import evaluate
from delineate.systems.spine.prediction.finished import Finished
from delineate.systems.spine.prediction.predict import PredictionSettings, predict
from delineate.systems.spine.schema.experiment import read_experiment

pytestmark = pytest.mark.slow

EPOCHS = {
    "anatomy": 5, "spine_location_view": 4, "spine_sequence": 6, "spinal_cord": 10,
    "spinal_cord_segmentation": 6, "lesion_segmentation": 14,
}  # fmt: skip
REJECTED = {
    "brain": "anatomy", "axial_t2": "location_view", "sagittal_t1": "sequence",
    "aside": "spinal_cord",
}  # fmt: skip
CHANCE = 0.3
"""Dice of a mask that is all of the cord stays below it."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, six trained networks and series that none of them has seen."""
    folder = tmp_path_factory.mktemp("world")
    write_data(folder / "data")
    for network, epochs in EPOCHS.items():
        experiment = read_experiment(write_experiment(folder, network, epochs=epochs))
        train(experiment)
    (folder / "weights").symlink_to(folder / "logs" / "checkpoints")
    (folder / "cascade.yaml").write_text(CASCADE)
    write_scans(folder / "scans")
    return folder


def write_scans(root: Path) -> None:
    """Three to accept, in each form, and those that each gate should refuse."""
    save_oblique(root / "to_accept" / "t2.nii.gz", draw("sagittal_t2", 1))
    write_dicom(root / "to_accept" / "dicom", pictures_of("sagittal_t2", 2))
    write_pictures(root / "to_accept" / "png", pictures_of("sagittal_t2", 3))
    for kind in ("brain", "axial_t2"):
        save_oblique(root / kind / "scan.nii", draw(kind, 4))
    write_dicom(root / "sagittal_t1", pictures_of("sagittal_t1", 5))
    write_pictures(root / "aside", pictures_of("aside", 6))
    write_pictures(root / "few", pictures_of("sagittal_t2", 7)[:3])


def pictures_of(kind: str, seed: int) -> list[np.ndarray]:
    return list(slices_of(draw(kind, seed))[0])


def save_oblique(path: Path, drawing: Drawing) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    axes = OBLIQUE / np.linalg.norm(OBLIQUE, axis=0) * np.roll(drawing.spacing, -1)
    affine = np.eye(4)
    affine[:3, :3] = axes
    stored = drawing.image[0].transpose(1, 2, 0)[::-1]
    nib.save(nib.Nifti1Image(np.ascontiguousarray(stored), affine), path)


@pytest.fixture(scope="module")
def judged(world: Path) -> tuple[Finished, dict[str, dict[str, object]]]:
    settings = read_cascade(world / "cascade.yaml", preview=True)
    done = cascade(settings, world / "scans", world / "out")
    report = json.loads((world / "out" / "report.json").read_text())
    return done, {series["series"]: series for series in report["series"]}


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    return 2 * float((found & truth).sum()) / float(found.sum() + truth.sum())


def test_each_series_goes_as_far_as_it_should(judged):
    done, series = judged
    assert done.failed == 0, done.lines
    for name in ("to_accept/t2", "to_accept/dicom", "to_accept/png"):
        assert series[f"scans/{name}"]["state"] == "accepted", done.lines
    for kind, stage in REJECTED.items():
        name = f"scans/{kind}/scan" if kind in ("brain", "axial_t2") else f"scans/{kind}"
        said = series[name]
        assert (said["state"], said["stage"]) == ("rejected", stage), done.lines
    assert series["scans/few"]["stage"] == "slices"


def of_nifti(out: Path) -> np.ndarray:
    written = nib.load(out / "to_accept" / "predict_t2.nii.gz")
    source = nib.load(out.parents[1] / "scans" / "to_accept" / "t2.nii.gz")
    np.testing.assert_allclose(written.affine, source.affine, atol=1e-4)
    return np.asarray(written.dataobj)[::-1].transpose(2, 0, 1) > 0


def of_dicom(out: Path) -> np.ndarray:
    found = pydicom.dcmread(out / "to_accept" / "dicom" / "predict_dicom.dcm")
    drawing = draw("sagittal_t2", 2)
    masks = np.zeros(slices_of(drawing)[1].shape, bool)
    frames = found.pixel_array.reshape(-1, *masks.shape[1:])
    for frame, group in zip(frames, found.PerFrameFunctionalGroupsSequence, strict=True):
        x = float(group.PlanePositionSequence[0].ImagePositionPatient[0])
        masks[round((40 - x) / 3)] = frame > 0
    return masks


def of_pictures(out: Path) -> np.ndarray:
    folder = out / "to_accept" / "png"
    files = [folder / f"predict_slice_{number}.png" for number in range(1, 9)]
    return np.stack([np.asarray(Image.open(file)) > 0 for file in files])


@pytest.mark.parametrize(
    ("read", "seed", "canonical"),
    [(of_nifti, 1, True), (of_dicom, 2, False), (of_pictures, 3, False)],
    ids=["nifti", "dicom", "pictures"],
)
def test_lesions_are_found_where_they_are(
    read: Callable[[Path], np.ndarray], seed: int, canonical: bool, world: Path, judged
):
    drawing = draw("sagittal_t2", seed)
    truth = drawing.mask if canonical else slices_of(drawing)[1]
    found = read(world / "out" / "scans")
    assert found.shape == truth.shape
    assert dice(truth > 0, truth == 2) < CHANCE
    score = dice(found, truth == 2)
    print(f"Dice of {read.__name__}: {score:.3f}")
    assert score > CHANCE, judged[0].lines


def test_a_checkpoint_predicts_and_is_measured_alone(world: Path):
    weights = world / "logs" / "checkpoints"
    where = world / "scans" / "sagittal_t1"
    told = predict(weights / "spine_sequence.ckpt", where, world / "told", PredictionSettings())
    assert told.failed == 0
    assert "sagittal_t1,T1w," in (world / "told" / "series.csv").read_text()
    experiment = read_experiment(world / "spine_sequence.yaml")
    done = evaluate(experiment, None, phase="val")
    metrics = json.loads((done.folder / "metrics.json").read_text())
    assert metrics["classes"] == ["T1w", "T2w"]
    lines = (done.folder / "confusion_matrix.csv").read_text().splitlines()
    counts = np.array([[int(n) for n in line.split(",")[1:]] for line in lines[1:]])
    assert counts.sum() == metrics["slices"]
    assert metrics["metrics"]["val_Accuracy"] == pytest.approx(np.trace(counts) / counts.sum())
    drawn = evaluate(read_experiment(world / "lesion_segmentation.yaml"), None, phase="val")
    figures = json.loads((drawn.folder / "metrics.json").read_text())
    lines = (drawn.folder / "confusion_matrix.csv").read_text().splitlines()
    pixels = np.array([[int(n) for n in line.split(",")[1:]] for line in lines[1:]])
    hit, wrong = pixels[1, 1], pixels[0, 1] + pixels[1, 0]
    assert figures["metrics"]["val_Dice"] == pytest.approx(2 * hit / (2 * hit + wrong), abs=1e-4)
    assert figures["metrics"]["val_iou"] == pytest.approx(hit / (hit + wrong), abs=1e-4)
