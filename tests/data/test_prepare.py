"""Preparing a data set: each case once, complete or not at all, and never a stale one."""

import errno
import os
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from delineate.data import open_cache, prepare, preprocess, preprocess_mask, read_case
from delineate.data.key import case_key, plan_key
from delineate.datasets import Case, Dataset
from delineate.errors import DataError
from delineate.io import read_mask, write_image, write_mask
from delineate.labels import Class, Labels
from delineate.plan import Normalisation

prepare_module = import_module("delineate.data.prepare")


def written_in(folder: Path) -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in folder.rglob("*.case")}


@pytest.fixture
def counting(monkeypatch) -> list[str]:
    """The ids of all cases that are made from here on."""
    made: list[str] = []
    make = prepare_module._make

    def counted(case, *rest):
        make(case, *rest)
        made.append(case.id)

    monkeypatch.setattr(prepare_module, "_make", counted)
    return made


def test_the_cache_holds_what_preprocessing_gives(plan, make_cases, tmp_path):
    plan = replace(plan, spacing=(0.8, 1.0, 1.1), crop_nonzero=True)
    cases = make_cases(3)
    cache = prepare(cases, plan, tmp_path / "cache", workers=2)
    for case in cases:
        prepared = preprocess(read_case(case), plan)
        mask = preprocess_mask(read_mask(case.label), plan.labels, prepared)
        assert cache.shape(case.id) == prepared.shape
        np.testing.assert_array_equal(cache.read_mask(case.id), mask)
        np.testing.assert_allclose(cache.read_image(case.id), prepared.array, rtol=5e-4, atol=1e-6)
        counts = cache.facts(case.id).counts
        assert counts == {c: np.count_nonzero(mask == c) for c in (1, 2)}
        for channel in counts:
            places = cache.places(case.id, channel)
            np.testing.assert_array_equal(places, np.argwhere(mask == channel))


def test_a_data_set_and_its_cases_are_prepared_alike(plan, make_cases, tmp_path):
    cases = make_cases(2)
    dataset = Dataset(root=tmp_path, layout="msd", cases=cases)
    first = prepare(dataset, plan, tmp_path / "cache")
    assert first.cases == open_cache(cases, plan, tmp_path / "cache").cases == cases


def test_a_second_run_makes_nothing(plan, make_cases, tmp_path, counting):
    cases = make_cases(3)
    cache = prepare(cases, plan, tmp_path / "cache")
    before = written_in(cache.folder)
    prepare(cases, plan, tmp_path / "cache")
    assert sorted(counting) == ["case_0", "case_1", "case_2"]
    assert written_in(cache.folder) == before


@pytest.mark.parametrize(
    "changes",
    [
        {"spacing": (1.0, 1.0, 2.0)},
        {"crop_nonzero": True},
        {"normalisation": (Normalisation(kind="zscore", nonzero=True),)},
        {"normalisation": (Normalisation(kind="ct", mean=1.0),)},
        {"normalisation": (Normalisation(kind="ct", deviation=2.0),)},
        {"normalisation": (Normalisation(kind="ct", low=-5.0),)},
        {"normalisation": (Normalisation(kind="ct", high=5.0),)},
        {"separate_axis": 2},
        {"channels": ("CT",)},
        {"labels": Labels.from_names({"anterior": 2, "posterior": 1})},
        {"labels": Labels.from_names({"anterior": 1, "posterior": 2}, ignore=7)},
        {"labels": Labels(classes=(Class(name="anterior", id=1), Class(name="b", id=2)))},
    ],
)
def test_every_part_of_the_plan_that_matters_gives_another_folder(plan, changes):
    assert plan_key(replace(plan, **changes)) != plan_key(plan)


@pytest.mark.parametrize("name", ["PREPROCESSING", "FORMAT"])
def test_another_version_of_the_code_gives_another_folder(plan, monkeypatch, name):
    before = plan_key(plan)
    monkeypatch.setattr(import_module("delineate.data.key"), name, 10**6)
    assert plan_key(plan) != before


def test_patch_batch_and_memory_do_not_matter(plan):
    other = replace(plan, patch=(4, 4, 4), batch_size=9, memory_gb=3.0, reasons={"patch": "x"})
    assert plan_key(other) == plan_key(plan)


def test_every_property_of_the_files_matters(make_cases):
    case = make_cases(1)[0]
    keys = [case_key(case)]
    image, label = Path(case.images[0]), Path(str(case.label))
    for path in (image, label):
        stat = path.stat()
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
        keys.append(case_key(case))
        path.write_bytes(path.read_bytes() + b"\0")
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
        keys.append(case_key(case))
    keys.append(case_key(replace(case, label=None)))
    copy = image.rename(image.with_name("other.nii.gz"))
    keys.append(case_key(replace(case, images=(str(copy),))))
    series = image.parent / "series"
    series.mkdir()
    for number in range(2):
        (series / f"{number}.dcm").write_bytes(b"x")
        keys.append(case_key(replace(case, images=(str(series),))))
    assert len(set(keys)) == len(keys)


def test_items_of_one_hdf5_file_are_told_apart(tmp_path):
    file = tmp_path / "train.h5"
    file.write_bytes(b"x")
    keys = {case_key(Case(id="a", images=(f"{file}::images[{i}]",))) for i in range(2)}
    assert len(keys) == 2


def test_only_the_case_whose_file_changed_is_made_again(plan, make_cases, tmp_path, counting):
    cases = make_cases(3)
    prepare(cases, plan, tmp_path / "cache")
    counting.clear()
    volume = read_case(cases[1])
    write_image(cases[1].images[0], volume.array + 50 * np.indices(volume.shape)[0], volume)
    cache = prepare(cases, plan, tmp_path / "cache")
    assert counting == ["case_1"]
    expected = preprocess(read_case(cases[1]), plan).array
    np.testing.assert_allclose(cache.read_image("case_1"), expected, rtol=5e-4, atol=1e-6)


def test_an_interrupted_run_goes_on_where_it_stopped(
    plan, make_cases, tmp_path, monkeypatch, counting
):
    cases = make_cases(3)
    write, calls = prepare_module.write_case, []

    def interrupted(home, *args, **rest):
        calls.append(home)
        if len(calls) == 2:
            raise KeyboardInterrupt
        write(home, *args, **rest)

    with monkeypatch.context() as patch:
        patch.setattr(prepare_module, "write_case", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare(cases, plan, tmp_path / "cache", workers=1)
    done = set(counting)
    counting.clear()
    assert 1 <= len(done) < 3
    prepare(cases, plan, tmp_path / "cache")
    assert done | set(counting) == {c.id for c in cases}
    assert not done & set(counting)


def test_a_half_written_case_is_never_counted(plan, make_cases, tmp_path, monkeypatch):
    cases = make_cases(1)
    store = import_module("delineate.data.store")
    pack, written = store._packed, []

    def half(part):
        if written:
            raise MemoryError("no more")
        written.append(pack(part))
        return written[0]

    with monkeypatch.context() as patch:
        patch.setattr(store, "_packed", half)
        with pytest.raises(DataError, match="MemoryError: no more"):
            prepare(cases, plan, tmp_path / "cache")
    assert not written_in(tmp_path / "cache")
    with pytest.raises(DataError) as caught:
        open_cache(cases, plan, tmp_path / "cache")
    assert str(caught.value) == (
        f"{tmp_path / 'cache'}: 1 of 1 cases are not prepared for this plan and these files, "
        "case_0 first. Fix: delineate prepare."
    )


def test_two_processes_may_finish_the_same_case(plan, make_cases, tmp_path, monkeypatch):
    cases = make_cases(1)
    write = prepare_module.write_case

    def twice(home, *args, **rest):
        write(home, *args, **rest)
        write(home, *args, **rest)

    monkeypatch.setattr(prepare_module, "write_case", twice)
    cache = prepare(cases, plan, tmp_path / "cache")
    assert sorted(p.name for p in cache.folder.iterdir()) == sorted(
        ["preparation.json", f"case_0-{case_key(cases[0])}.case"]
    )


def test_all_failures_are_told_together_and_the_other_cases_are_kept(
    plan, make_cases, tmp_path, monkeypatch
):
    cases = make_cases(4)
    volume = read_case(cases[1])
    write_mask(cases[1].label, np.full(volume.shape, 9, np.uint8), volume)
    measure = prepare_module.find_foreground

    def faulty(mask, *, case, **rest):
        if case == "case_2":
            raise ZeroDivisionError("a bug")
        return measure(mask, case=case, **rest)

    monkeypatch.setattr(prepare_module, "find_foreground", faulty)
    with pytest.raises(DataError) as caught:
        prepare(cases, plan, tmp_path / "cache", workers=2)
    lines = str(caught.value).splitlines()
    assert lines[:2] == [
        "2 of 4 cases could not be prepared:",
        "  case_1: the mask holds undeclared values [9]; declared are [0, 1, 2].",
    ]
    assert lines[2].startswith("  case_2: ZeroDivisionError: a bug (test_prepare.py:")
    assert lines[3].startswith(f"The others are kept in {tmp_path / 'cache'}. Fix: ")
    assert isinstance(caught.value.__cause__, DataError)
    notes = caught.value.__notes__
    assert notes[0].startswith("case_1:\nTraceback")
    assert "in preprocess_mask" in notes[0]
    assert "in faulty" in notes[1]
    others = (cases[0], cases[3])
    assert open_cache(others, plan, tmp_path / "cache").cases == others


def test_a_missing_file_is_told_with_its_case(plan, tmp_path):
    case = Case(id="case_9", images=(str(tmp_path / "gone.nii.gz"),))
    with pytest.raises(DataError) as caught:
        prepare([case], plan, tmp_path / "cache")
    expected = f"case_9: {tmp_path / 'gone.nii.gz'} cannot be read (No such file or directory)."
    assert str(caught.value) == expected


def test_a_full_disk_is_told_with_the_space_that_is_needed(
    plan, make_cases, tmp_path, monkeypatch, counting
):
    cases = make_cases(4)
    write = prepare_module.write_case

    def full(home, *args, **rest):
        if counting:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(home, *args, **rest)

    monkeypatch.setattr(prepare_module, "write_case", full)
    with pytest.raises(DataError) as caught:
        prepare(cases, plan, tmp_path / "cache", workers=1)
    assert ": the disk is full (" in str(caught.value)
    assert "; 3 cases need about " in str(caught.value)
    assert "GB more, by the 1 already done. Fix: free space, or choose" in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)
    assert counting == ["case_0"]


def test_a_disk_that_is_full_from_the_start_is_told_too(plan, make_cases, tmp_path, monkeypatch):
    def full(*_args, **_rest):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(DataError, match=r"the disk is full .* need more than that for the first"):
        prepare(make_cases(2), plan, tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_channels_from_several_files_are_stacked(plan, make_cases, tmp_path, make_plan):
    first, second = make_cases(2)
    volume = read_case(first)
    twin = tmp_path / "twin.nii.gz"
    write_image(twin, 2 * volume.array, volume)
    both = replace(first, images=(first.images[0], str(twin)))
    array = read_case(both).array
    np.testing.assert_allclose(array[1], 2 * array[0])
    with pytest.raises(DataError, match="All channels of a case must share one grid"):
        read_case(replace(first, images=(first.images[0], second.images[0])))


def test_a_case_without_a_mask_is_prepared_and_wholly_ignored(plan, make_cases, tmp_path):
    case = replace(make_cases(1)[0], label=None)
    cache = prepare([case], plan, tmp_path / "cache")
    assert not cache.labelled("case_0")
    assert cache.facts("case_0").counts == {}
    assert (cache.read_mask("case_0") == -1).all()


def test_images_that_are_not_normalised_are_kept_exactly(make_plan, make_cases, tmp_path):
    plan = make_plan(normalisation=(Normalisation(kind="none"),))
    case = make_cases(1)[0]
    cache = prepare([case], plan, tmp_path / "cache")
    np.testing.assert_array_equal(cache.read_image("case_0"), read_case(case).array)


def test_progress_counts_every_case(plan, make_cases, tmp_path):
    seen = []

    def progress(items, total, description):
        for item in items:
            seen.append((total, description))
            yield item

    prepare(make_cases(3), plan, tmp_path / "cache", progress=progress)
    assert seen == [(3, "prepare")] * 3


def test_preparing_imports_no_torch():
    code = (
        "import sys, delineate.data as data; data.prepare; data.Cache; "
        "heavy = {'torch', 'nibabel', 'scipy', 'SimpleITK', 'blosc2'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_real_scans_are_prepared_on_their_own_grid(make_plan, real_data, tmp_path):
    root = real_data / "Task04_Hippocampus"
    images = sorted((root / "imagesTr").glob("*.nii.gz"))[:6]
    cases = [
        Case(id=p.name[:-7], images=(str(p),), label=str(root / "labelsTr" / p.name))
        for p in images
    ]
    cache = prepare(cases, make_plan(), tmp_path / "cache")
    for case in cases:
        assert cache.shape(case.id) == read_case(case).shape
        assert set(cache.facts(case.id).counts) == {1, 2}
