"""A run folder as a training leaves it, with small scans beside it."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from delineate.labels import Labels
from delineate.metrics import Table, score_masks, write_table
from delineate.plan import Network, Normalisation, Plan, write_plan

LABELS = Labels.from_names({"left <core>": 1, "rim & shell": 2})
SHAPE = (24, 30, 18)
SPACING = (1.0, 1.0, 2.0)


def phantom(radius: float) -> np.ndarray:
    """A core in a shell, off the middle."""
    grid = np.ogrid[tuple(slice(0, n) for n in SHAPE)]
    distance = sum(((g - c) * s) ** 2 for g, c, s in zip(grid, (10, 14, 9), SPACING, strict=True))
    return np.select([distance < (radius / 2) ** 2, distance < radius**2], [1, 2]).astype(np.uint8)


def save(path: Path, array: np.ndarray) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.diag((*SPACING, 1.0))), path)
    return str(path)


def make_plan() -> Plan:
    return Plan(
        channels=("T1",),
        labels=LABELS,
        spacing=SPACING,
        shape=SHAPE,
        crop_nonzero=False,
        normalisation=(Normalisation(kind="zscore"),),
        separate_axis=None,
        patch=(16, 16, 16),
        batch_size=2,
        network=Network(
            features=(8, 16),
            strides=((1, 1, 1), (2, 2, 2)),
            kernels=((3, 3, 3), (3, 3, 3)),
            convolutions=(2, 2),
        ),
        memory_gb=0.41,
        reasons={"spacing": "the median spacing of 9 cases", "patch": "fills < 1 GB"},
    )


def write_curves(path: Path, steps: int = 60) -> None:
    rng = np.random.default_rng(0)
    lines = ["step,progress,seconds,lr,loss,loss/dice,loss/ce,val_dice,val_dice/left <core>"]
    for step in range(10, steps * 10, 10):
        loss = 1.5 * np.exp(-step / 150) + 0.2 + rng.normal() * 0.03
        share = step / (steps * 10)
        lines.append(
            f"{step},{share:.3f},{step / 2},0.001,{loss:.4f},{loss * 0.6:.4f},{loss * 0.4:.4f},,"
        )
        if step % 100 == 0:
            lines.append(
                f"{step},{share:.3f},{step / 2},,,,,{0.9 - loss / 3:.4f},{0.95 - loss / 3:.4f}"
            )
    path.write_text("\n".join(lines) + "\n")


def make_run(run: Path, data: Path, radii: dict[str, float], steps: int = 60) -> Path:
    """A run whose predictions of balls of 8 mm have other radii."""
    held_out, rows = [], []
    for case, radius in radii.items():
        truth, found = phantom(8.0), phantom(radius)
        noise = np.random.default_rng(1).normal(size=SHAPE)
        image = save(
            data / f"{case}_0000.nii.gz", (truth * 40 + 10 * noise + 60).astype(np.float32)
        )
        label = save(data / f"{case}.nii.gz", truth)
        save(run / "validation" / f"{case}.nii.gz", found)
        held_out.append({"id": case, "images": [image], "label": label})
        rows += score_masks(found, truth, LABELS, SPACING, case=case)
    write_table(Table(tuple(rows)), run / "validation" / "table.csv")
    write_plan(make_plan(), run / "plan.json")
    write_curves(run / "metrics.csv", steps)
    (run / "config.yaml").write_text("data: {root: '<b>here</b>'}\n")
    cases = {"training": [{"id": "t", "images": [], "label": None}], "validation": held_out}
    (run / "cases.json").write_text(json.dumps(cases))
    environment = {"device": "CPU (AVX2)", "packages": {"torch": "2.13.0"}}
    (run / "environment.json").write_text(json.dumps(environment))
    return run


RADII = {"case_1": 8.0, "case_2": 7.0, "case_3": 5.0}


@pytest.fixture
def finished(tmp_path):
    """Three held-out cases, scored; the first is the best."""
    return make_run(tmp_path / "runs" / "my <run>", tmp_path / "data", RADII)


@pytest.fixture
def rival(tmp_path, finished):
    """Another run on the same cases, better on the last one only."""
    radii = {"case_1": 7.5, "case_2": 6.5, "case_3": 7.5}
    return make_run(tmp_path / "runs" / "rival & co", tmp_path / "data", radii, steps=40)
