"""The documented folder, and its volumes as files for the engine."""

import logging
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from brainstem_toys import SHAPE, draw, settings, write_subject, write_tree
from nibabel import nifti1

from delineate.data import read_case
from delineate.data.preprocess import normalise
from delineate.datasets import examine, read_dataset
from delineate.errors import ConfigError, DataError
from delineate.groundwork import NoBars
from delineate.io import read_mask
from delineate.plan import Normalisation
from delineate.systems.brainstem.morphogen import fields
from delineate.systems.brainstem.prepared import Prepared, prepare_tree
from delineate.systems.brainstem.settings import TrainingConfig
from delineate.systems.brainstem.tree import read_tree
from delineate.systems.brainstem.volumes import classes_of, parts_of


def prepare(root: Path, out: Path, **changes: object) -> Prepared:
    return prepare_tree(read_tree(root), settings(**changes), out, bars=NoBars())


def test_the_documented_folder_is_found(tmp_path: Path):
    tree = read_tree(write_tree(tmp_path / "data"))
    assert [subject.id for subject in tree.subjects] == ["nextbrain"]
    assert tree.names[29] == "Pontine nuclei"
    assert len(tree.schema.nuclei) == 36


def test_subjects_lie_beside_nextbrain_or_in_it(tmp_path: Path):
    root = write_tree(tmp_path / "data", ["nextbrain"])
    write_subject(root / "nextbrain_001")
    write_subject(root / "nextbrain" / "sub-02")
    found = [subject.id for subject in read_tree(root).subjects]
    assert found == ["nextbrain", "nextbrain_001", "nextbrain_sub-02"]


def test_a_folder_without_the_pair_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="no such folder"):
        read_tree(tmp_path / "nowhere")
    (tmp_path / "empty" / "nextbrain").mkdir(parents=True)
    with pytest.raises(DataError, match=r"no folder in it has T2w.nii.gz and manual_seg"):
        read_tree(tmp_path / "empty")
    root = write_tree(tmp_path / "data")
    (root / "nextbrain" / "manual_segmentation.nii.gz").unlink()
    with pytest.raises(DataError, match=r"T2w.nii.gz: there is no manual_segmentation.nii.gz"):
        read_tree(root)


def test_without_a_schema_the_shipped_one_is_taken_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    root = write_tree(tmp_path / "data")
    (root / "metadata" / "brainstem_labels_schema.json").unlink()
    with caplog.at_level(logging.WARNING):
        assert len(read_tree(root).schema.nuclei) == 36
    assert "the schema of 36 nuclei of delineate is taken" in caplog.text


def test_a_part_has_the_values_of_the_whole_volume(tmp_path: Path):
    root = write_tree(tmp_path / "data")
    grey, mask = draw()
    whole = normalise(grey[None], (Normalisation(kind="zscore"),))[0]
    assert abs((whole - (grey - grey.mean()) / grey.std()).max()) < 1e-5
    tree, config = read_tree(root), TrainingConfig(patch_size=(16, 16, 16))
    parts = list(parts_of(tree, config, classes_of(tree, config)))
    assert [part.split for part in parts] == ["train", "validation"]
    for part in parts:
        assert part.regions is not None
        boxes = {"train": part.regions.training, "validation": part.regions.validation}
        box = boxes[part.split]
        inside = tuple(slice(*axis) for axis in box)
        assert np.array_equal(part.image.array[0], whole[inside])
        assert np.array_equal(part.mask, mask[inside])
        # Where it lies in space is where the voxel of the file lies.
        first = part.image.affine @ [0, 0, 0, 1]
        assert np.allclose(first[:3], np.array([b[0] for b in box]) * 0.2 + first_voxel())
        for (low, high), (start, stop), n in zip(part.within, box, SHAPE, strict=True):
            assert (low, high) == (start / (n - 1), (stop - 1) / (n - 1))


def first_voxel() -> np.ndarray:
    """Where the canonical array of the toy begins."""
    return np.array([5 - 0.2 * (SHAPE[0] - 1), -4, -4])


def test_the_engine_reads_what_was_prepared(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    root, out = write_tree(tmp_path / "data"), tmp_path / "out"
    with caplog.at_level(logging.INFO):
        prepared = prepare(root, out)
    assert "5 classes: red_nucleus, brainstem" in caplog.text
    assert "are held out" in caplog.text
    dataset = read_dataset(prepared.table, layout="table", labels=prepared.labels)
    assert {case.split for case in dataset.cases} == {"train", "validation"}
    tree, config = read_tree(root), settings()
    for case, part in zip(
        sorted(dataset.cases, key=lambda case: case.id),
        parts_of(tree, config, classes_of(tree, config)),
        strict=True,
    ):
        assert np.array_equal(read_case(case).array, part.image.array)
        assert np.array_equal(read_mask(str(case.label)).array[0], part.mask)
    stamp = prepared.table.stat().st_mtime_ns
    assert prepare(root, out) == prepared
    assert prepared.table.stat().st_mtime_ns == stamp
    prepare(root, out, validation_share=0.4)
    assert prepared.table.stat().st_mtime_ns != stamp


def test_each_channel_of_a_scan_is_a_file_of_its_own(tmp_path: Path):
    root = write_tree(tmp_path / "data")
    path = root / "nextbrain" / "T2w.nii.gz"
    scan = nifti1.load(path)
    both = np.stack([scan.get_fdata(), np.sin(scan.get_fdata())], -1).astype(np.float32)
    nifti1.save(nifti1.Nifti1Image(both, scan.affine), path)
    prepared = prepare(root, tmp_path / "out", input_channels=2, morphogen="channels")
    dataset = read_dataset(prepared.table, layout="table", labels=prepared.labels)
    assert not examine(dataset).errors
    tree, config = read_tree(root), settings(input_channels=2, morphogen="channels")
    parts = {part.id: part for part in parts_of(tree, config, classes_of(tree, config))}
    for case in dataset.cases:
        assert np.array_equal(read_case(case).array, parts[case.id].image.array)


def test_several_subjects_are_held_out_whole(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    names = ["nextbrain", *(f"nextbrain_{i}" for i in range(1, 5))]
    root = write_tree(tmp_path / "data", names)
    with caplog.at_level(logging.INFO):
        prepared = prepare(root, tmp_path / "out")
    cases = read_dataset(prepared.table, layout="table").cases
    held = [case.id for case in cases if case.split == "validation"]
    assert len(held) == 1
    assert prepared.training == 4
    assert f"4 subjects to learn from; held out: {held[0]}" in caplog.text
    assert prepared.within == ((0, 1),) * 3


def test_scans_that_do_not_fit_are_refused(tmp_path: Path):
    root = write_tree(tmp_path / "data")
    with pytest.raises(ConfigError, match="has 1 channels but input_channels is 2"):
        prepare(root, tmp_path / "out", input_channels=2)
    path = root / "nextbrain" / "manual_segmentation.nii.gz"
    mask = nifti1.load(path)
    nifti1.save(nifti1.Nifti1Image(np.asarray(mask.dataobj)[2:], mask.affine), path)
    with pytest.raises(DataError):
        prepare(root, tmp_path / "out")


def test_gradients_that_all_subjects_share_are_no_copies(tmp_path: Path):
    root = write_tree(tmp_path / "data", ["nextbrain", "nextbrain_001"])
    prepared = prepare(root, tmp_path / "out", morphogen="channels")
    dataset = read_dataset(prepared.table, layout="table", labels=prepared.labels)
    assert [len(case.images) for case in dataset.cases] == [4, 4]
    assert not examine(dataset).errors


def test_the_gradients_of_a_part_are_those_of_its_place(tmp_path: Path):
    root = write_tree(tmp_path / "data")
    tree, config = read_tree(root), settings(morphogen="channels")
    whole = fields(SHAPE, crc32(draw()[0].tobytes()))
    for part in parts_of(tree, config, classes_of(tree, config)):
        assert part.regions is not None
        box = part.regions.training if part.split == "train" else part.regions.validation
        inside = (slice(None), *(slice(*axis) for axis in box))
        assert np.array_equal(part.image.array[1:], whole[inside])
