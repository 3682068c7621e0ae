"""The preprocessed tree: what is written, what failed, what a rerun does; the command."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from delineate.errors import ConfigError, DataError
from delineate.systems.liver.prepared_tree import deal_patients, prepare_tree
from delineate.systems.liver.preprocessing_command import run_data_preprocessing
from delineate.systems.liver.settings import PreprocessingConfig, read_settings
from delineate.systems.liver.subjects import read_metadata


def body(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Tissue of 0 to 100 HU with air around it."""
    array = np.full(shape, -1000, np.int16)
    inside = tuple(slice(n // 5, n - n // 5) for n in shape)
    size = array[inside].shape
    array[inside] = np.random.default_rng(seed).integers(0, 100, size)
    return array


def test_patients_are_dealt_by_the_ratios_and_the_seed() -> None:
    patients = [str(i) for i in range(20)]
    dealt = deal_patients(patients, PreprocessingConfig())
    assert sorted(dealt) == sorted(patients)
    counts = [list(dealt.values()).count(split) for split in ("train", "val", "test")]
    assert counts == [14, 4, 2]
    assert dealt == deal_patients(patients, PreprocessingConfig())
    assert dealt != deal_patients(patients, PreprocessingConfig(seed=1))
    more = deal_patients([f"new {i}" for i in range(10)], PreprocessingConfig(), dealt)
    counts = [[*dealt.values(), *more.values()].count(s) for s in ("train", "val", "test")]
    assert counts == [21, 6, 3]
    few = deal_patients(["a", "b", "c"], PreprocessingConfig())
    assert sorted(few.values()) == ["test", "train", "val"]
    alone = PreprocessingConfig(train_ratio=1.0, val_ratio=0.0, test_ratio=0.0)
    assert set(deal_patients(patients, alone).values()) == {"train"}


SMALL = PreprocessingConfig(
    target_spacing=(2, 2, 2), target_size=(12, 12, 12), train_ratio=0.5, val_ratio=0.25,
    test_ratio=0.25, num_workers=2,
)  # fmt: skip


def make_raw(root: Path, names: range) -> Path:
    """Decathlon scans whose first axis leads left."""
    affine = np.diag([-1.5, 1.5, 2.0, 1.0])
    for name in names:
        mask = np.zeros((12, 11, 10), np.uint8)
        mask[3:9, 3:8, 3:8] = 1
        mask[4:6, 4:6, 4 + name % 3] = 2
        save = {"imagesTr": body((12, 11, 10), name), "labelsTr": mask}
        for folder, array in save.items():
            (root / folder).mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(array, affine), root / folder / f"liver_{name}.nii.gz")
    return root


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Raw and preprocessed, eight subjects of which one, liver_3, fails."""
    home = tmp_path_factory.mktemp("liver")
    raw = make_raw(home / "raw", range(8))
    (raw / "labelsTr" / "liver_3.nii.gz").write_bytes(b"broken")
    made = prepare_tree(raw, "medical_decathlon", home / "out", SMALL)
    assert list(made.failures) == ["liver_3"]
    assert "not a gzip file" in made.failures["liver_3"]
    return raw, home / "out"


def files(out: Path) -> dict[str, bytes]:
    found = sorted(p for p in out.rglob("*") if p.is_file())
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in found}


def test_the_documented_tree_is_written(tree: tuple[Path, Path]) -> None:
    raw, out = tree
    subjects = read_metadata(out)
    assert sorted(subjects) == [f"liver_{i}" for i in (0, 1, 2, 4, 5, 6, 7)]
    for name, subject in subjects.items():
        image = nib.load(out / subject.split / f"{name}_image.nii.gz")
        label = nib.load(out / subject.split / f"{name}_label.nii.gz")
        assert image.shape == label.shape == (12, 12, 12)
        assert image.get_data_dtype() == np.float32
        assert label.get_data_dtype() == np.uint8
        np.testing.assert_allclose(image.affine, subject.grid.affine, atol=1e-5)
        np.testing.assert_allclose(label.affine, image.affine)
        assert subject.source == f"imagesTr/{name}.nii.gz"
        truth = nib.load(raw / "labelsTr" / f"{name}.nii.gz")
        native = nib.load(out / "native" / f"{name}_label.nii.gz")
        np.testing.assert_array_equal(native.get_fdata(), truth.get_fdata())
        np.testing.assert_allclose(native.affine, truth.affine)
        assert subject.voxels == {1: 146, 2: 4}


def test_the_records_say_how_without_a_pickle_or_a_path_of_this_machine(
    tree: tuple[Path, Path],
) -> None:
    raw, out = tree
    assert read_settings(PreprocessingConfig, out / "preprocessing_config.json") == SMALL
    for name, data in files(out).items():
        assert not name.endswith(".pkl")
        assert str(raw.parent).encode() not in data
    summary = (out / "preprocessing_summary.txt").read_text()
    assert summary.startswith("7 subjects prepared, 1 failed.\n\nFAILED liver_3: ")
    assert "with label 2" in summary
    assert read_metadata(out / "test").keys() == read_metadata(out).keys()
    assert read_metadata(raw) == {}


def test_a_rerun_does_what_is_missing_and_moves_nobody(
    tree: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(tree[1], out)
    before, splits = files(out), {k: s.split for k, s in read_metadata(out).items()}
    (out / splits["liver_0"] / "liver_0_label.nii.gz").unlink()
    raw = make_raw(tmp_path / "raw", range(11))
    made = prepare_tree(raw, "medical_decathlon", out, SMALL)
    assert not made.failures
    assert len(made.subjects) == 11
    after = files(out)
    images = [name for name in before if name.endswith(".nii.gz")]
    assert all(after[name] == before[name] for name in images)
    now = {k: s.split for k, s in read_metadata(out).items()}
    assert splits.items() <= now.items()
    planned = json.loads(before["preprocessing_metadata.json"])["splits"]
    assert now["liver_3"] == planned["liver_3"]
    changed = PreprocessingConfig(**{**vars(SMALL), "rotation_degrees": 3.0})
    assert prepare_tree(raw, "medical_decathlon", out, changed).subjects.keys() == now.keys()
    assert files(out)[images[0]] == before[images[0]]


def test_a_tree_of_other_settings_is_refused(tree: tuple[Path, Path], tmp_path: Path) -> None:
    raw, out = tree
    other = PreprocessingConfig(**{**vars(SMALL), "normalize_method": "minmax"})
    with pytest.raises(ConfigError, match="was prepared with normalize_method=zscore, and minmax"):
        prepare_tree(raw, "medical_decathlon", out, other)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="already holds something else"):
        prepare_tree(raw, "medical_decathlon", tmp_path, SMALL)


def test_the_phases_of_one_patient_stay_together(tmp_path: Path) -> None:
    for patient in range(6):
        for letter, phase in zip("APV", ("Arterial", "Portal", "Venous"), strict=True):
            name = f"{patient}{letter}.nii"
            mask = (body((10, 10, 10)) > 50).astype(np.uint8)
            for kind, start, array in (
                ("dicom", "Dliver", body((10, 10, 10))),
                ("liver", "LS", mask),
                ("tumor", "TS", mask * 0),
            ):
                folder = tmp_path / "raw" / f"niigz {kind}" / f"{phase} Phase"
                folder.mkdir(parents=True, exist_ok=True)
                nib.save(nib.Nifti1Image(array, np.eye(4)), folder / f"{start}{name}")
    made = prepare_tree(tmp_path / "raw", "jipmer", tmp_path / "out", SMALL)
    assert len(made.subjects) == 18
    by_patient: dict[str, set[str]] = {}
    for subject in made.subjects.values():
        by_patient.setdefault(subject.patient, set()).add(subject.split)
    assert all(len(splits) == 1 for splits in by_patient.values())
    assert {next(iter(splits)) for splits in by_patient.values()} == {"train", "val", "test"}


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command: its exit code, what it prints, and its messages."""

    def call(*words: object) -> tuple[int, str, str]:
        try:
            run_data_preprocessing([str(word) for word in words])
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_the_command_line_goes_over_the_config(tmp_path: Path, run: Run) -> None:
    raw = make_raw(tmp_path / "raw", range(2))
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"target_spacing": [9, 9, 9], "target_size": [10, 10, 10]}))
    where = ("--dataset_path", raw, "--dataset_type", "medical_decathlon", "--output_dir")
    code, printed, _ = run(
        *where, tmp_path / "out", "--config", config, "--target_spacing", 3, 3, 3,
        "--intensity_range", -50, 200, "--normalize_method", "robust", "--no_augmentation",
    )  # fmt: skip
    assert (code, "2 subjects prepared, 0 failed." in printed) == (0, True)
    made = read_settings(PreprocessingConfig, tmp_path / "out" / "preprocessing_config.json")
    assert made.target_spacing == (3, 3, 3)
    assert made.target_size == (10, 10, 10)
    assert made.intensity_range == (-50, 200)
    assert (made.normalize_method, made.apply_augmentation) == ("robust", False)


def test_a_failure_and_a_mistake_both_leave_with_two(tmp_path: Path, run: Run) -> None:
    raw = make_raw(tmp_path / "raw", range(2))
    (raw / "labelsTr" / "liver_1.nii.gz").unlink()
    words = ("--dataset_type", "medical_decathlon", "--output_dir", tmp_path / "out")
    code, printed, _ = run("--dataset_path", raw, *words)
    assert code == 2
    assert "FAILED liver_1: liver_1.nii.gz has no mask" in printed
    code, printed, said = run("--dataset_path", tmp_path / "absent", *words)
    assert (code, printed) == (2, "")
    assert said.strip().endswith("no such folder. Fix: give the folder of the raw data set.")
    assert "Traceback" not in said
