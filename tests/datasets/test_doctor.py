"""The doctor finds every fault that is planted in a copy of good data, and nothing in good data."""

import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import pytest
from planted import FAULTS, NEED_A_TWIN, Folder, describe, twins, write_folder

from delineate.datasets import read_dataset
from delineate.datasets.doctor import examine
from delineate.datasets.findings import Examination

Found = set[tuple[str, str | None]]


def found(examination: Examination) -> Found:
    return {(f.kind, f.case) for f in examination.findings}


def expected(kinds: list[str], case: str, other: str) -> Found:
    return {(kind.removesuffix(" of both"), other if " " in kind else case) for kind in kinds}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made") / "Task"
    write_folder(root, cases=40)
    return root


@pytest.fixture(scope="module")
def real(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty real cases, eight of them with another of equal shape."""
    source = real_data / "Task04_Hippocampus"
    by_shape: dict[tuple[int, ...], list[str]] = {}
    for path in sorted((source / "imagesTr").glob("*.nii.gz")):
        by_shape.setdefault(nib.nifti1.load(path).shape, []).append(path.name)
    ranked = sorted(by_shape.values(), key=len, reverse=True)
    names = [name for same in ranked for name in same[:2]][:40]
    root = tmp_path_factory.mktemp("real") / "Task"
    for part in ("imagesTr", "labelsTr"):
        (root / part).mkdir(parents=True)
        for name in names:
            (root / part / name).write_bytes((source / part / name).read_bytes())
    describe(root)
    return root


@pytest.mark.parametrize("source", ["made", "real"])
@pytest.mark.parametrize("plant", FAULTS, ids=lambda fault: fault.__name__)
def test_each_fault_is_found_in_its_case_and_nothing_else(
    plant: Callable, source: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shutil.copytree(request.getfixturevalue(source), tmp_path / "Task")
    folder = Folder(tmp_path / "Task")
    case, other = twins(folder)[3]
    wanted = expected(plant(folder, case, other), case, other)
    assert found(examine(read_dataset(folder.root), workers=1)) == wanted


@pytest.mark.parametrize("source", ["made", "real"])
def test_all_faults_at_once_are_each_found_and_the_other_cases_are_clean(
    source: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shutil.copytree(request.getfixturevalue(source), tmp_path / "Task")
    folder = Folder(tmp_path / "Task")
    pairs = twins(folder)
    taken = [case for pair in pairs[:3] for case in pair]
    alone = [case for case in folder.cases if case not in taken]
    wanted: Found = set()
    for plant in FAULTS:
        case, other = pairs.pop(0) if plant in NEED_A_TWIN else (alone.pop(0), "")
        wanted |= expected(plant(folder, case, other), case, other)
    assert found(examine(read_dataset(folder.root))) == wanted


def test_good_made_data_has_no_finding(made: Path) -> None:
    assert examine(read_dataset(made)).findings == ()


def test_the_real_hippocampus_data_has_no_finding(real_data: Path) -> None:
    examination = examine(read_dataset(real_data / "Task04_Hippocampus"))
    assert len(examination.cases) == 208
    assert examination.findings == ()


@pytest.mark.parametrize("name", ["ms_lesions", "membrane"])
def test_other_real_data_has_no_error(real_data: Path, name: str) -> None:
    assert examine(read_dataset(real_data / name)).errors == ()
