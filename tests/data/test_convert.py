"""Any layout to HDF5: voxels, structures, presence, scenarios, splits."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from terminal import delineate

from delineate.data import read_case
from delineate.data.convert import convert_to_hdf5
from delineate.datasets import Case, read_dataset, synthesise
from delineate.errors import DataError
from delineate.io import read_mask, read_volume, write_image, write_mask
from delineate.io.volume import Grid, Volume
from delineate.labels import Labels

SHAPE = (20, 18, 16)


def put(root: Path, name: str, image: np.ndarray, mask: np.ndarray) -> None:
    """images/ and masks/ with a spacing of 1, 2 and 3 mm."""
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    grid = Grid(shape=image.shape[1:], affine=affine)
    like = Volume(array=image, affine=affine, source=grid)
    write_image(root / "images" / f"{name}.nii.gz", image.astype(np.float32), like)
    write_mask(root / "masks" / f"{name}.nii.gz", mask, like)


@pytest.mark.parametrize(
    ("kind", "layout"), [("organs", "nnunet"), ("lesions", "folders"), ("structures", "hdf5")]
)
def test_every_voxel_and_structure_arrives(tmp_path: Path, kind: str, layout: str) -> None:
    root = synthesise(kind, tmp_path / "in", cases=4, shape=SHAPE, layout=layout, seed=1)
    before = read_dataset(root)
    counts = convert_to_hdf5(before, tmp_path / "out")
    after = read_dataset(tmp_path / "out")
    assert (after.layout, sum(counts.values())) == ("hdf5", 4)
    assert after.labels is not None
    if before.labels is not None:
        assert after.labels.names == before.labels.names
    # Layouts name cases in their own way: an image is found again by its voxels.
    old = {_voxels(case): case for case in before.cases}
    for case in after.cases:
        source = old.pop(_voxels(case))
        masks = read_mask(str(case.label)).array
        truth = read_mask(str(source.label)).array
        for place, (layer, name) in enumerate(zip(masks, after.labels.names, strict=True)):
            if before.labels is None:
                expected = truth[0] == int(name.split()[-1])
            elif before.labels.overlapping:
                expected = truth[place] > 0
            else:
                leaves = before.labels.leaves
                ids = [leaf.id for leaf in leaves if name in _lineage(before.labels, leaf.name)]
                expected = np.isin(truth[0], ids)
            np.testing.assert_array_equal(layer > 0, expected)
        assert case.presence == tuple(int(layer.any()) for layer in masks)
    assert old == {}


def _voxels(case: Case) -> bytes:
    return read_case(case).array.astype(np.float32).tobytes()


def _lineage(labels: Labels, name: str) -> set[str]:
    parents = {c.name: c.parent for c in labels.classes}
    found, above = {name}, parents[name]
    while above is not None:
        found.add(above)
        above = parents[above]
    return found


def test_channels_spacing_and_scenarios_are_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(5):
        mask = np.zeros(SHAPE, np.uint8)
        mask[2:8, 2:8, 2:8] = i % 2
        for channel in range(2):
            put(tmp_path / "in", f"case{i}_000{channel}", rng.random((1, *SHAPE)), mask)
            (tmp_path / "in" / "masks" / f"case{i}_000{channel}.nii.gz").rename(
                tmp_path / "in" / "masks" / f"case{i}.nii.gz"
            )
    convert_to_hdf5(read_dataset(tmp_path / "in"), tmp_path / "out")
    said = json.loads((tmp_path / "out" / "metadata.json").read_text())
    assert said["channel_names"] == ["image_0", "image_1"]
    assert read_dataset(tmp_path / "out").channels == ("image_0", "image_1")
    assert said["image_size"] == list(SHAPE)
    scenarios = {entry["name"]: entry for entry in said["scenarios"]}
    assert scenarios["nothing"] == {"name": "nothing", "present": [], "weight": 0.6}
    assert scenarios["complete"]["weight"] == 0.4
    with h5py.File(tmp_path / "out" / "train.h5", "r", locking=False) as file:
        assert file["images"].shape[1:] == (2, *SHAPE)
        assert file.attrs["spacing"].tolist() == [1, 2, 3]
        assert set(file["scenarios"].asstr()[:]) <= {"complete", "nothing"}


def test_scans_of_several_shapes_need_a_shape_and_keep_their_field_of_view(tmp_path: Path) -> None:
    for name, shape in (("a", (16, 16, 16)), ("b", (32, 32, 32)), ("c", (32, 32, 32))):
        mask = np.zeros(shape, np.uint8)
        mask[: shape[0] // 2] = 1
        ramp = np.linspace(0, 1, shape[1])[None, :, None] * np.ones(shape)
        put(tmp_path / "in", name, ramp[None], mask)
    dataset = read_dataset(tmp_path / "in")
    with pytest.raises(DataError) as error:
        convert_to_hdf5(dataset, tmp_path / "out")
    assert str(error.value) == (
        "convert: the scans differ in shape, such as a with 16x16x16 and b with 32x32x32, but one "
        "file holds one shape. Fix: name a shape for all, as in --shape 32,32,32."
    )
    assert not (tmp_path / "out").exists()
    convert_to_hdf5(dataset, tmp_path / "out", shape=(16, 16, 16))
    for case in read_dataset(tmp_path / "out").cases:
        mask = read_mask(str(case.label)).array[0]
        np.testing.assert_array_equal(mask[:8], 1)
        np.testing.assert_array_equal(mask[8:], 0)
        image = read_volume(case.images[0]).array[0]
        assert image[0, 0, 0] < 0.03
        assert image[0, -1, 0] > 0.97


def test_declared_splits_are_kept_and_the_rest_is_dealt_by_patient(tmp_path: Path) -> None:
    lines = ["id,image,label,patient,split"]
    for i in range(12):
        put(tmp_path, f"s{i}", np.full((1, 4, 4, 4), i), np.ones((4, 4, 4), np.uint8))
        split = "test" if i >= 10 else ""
        lines.append(f"s{i},images/s{i}.nii.gz,masks/s{i}.nii.gz,p{i // 2},{split}")
    (tmp_path / "cases.csv").write_text("\n".join(lines))
    counts = convert_to_hdf5(read_dataset(tmp_path / "cases.csv"), tmp_path / "out")
    assert counts == {"train": 8, "val": 2, "test": 2}
    held = {
        split: sorted(
            int(read_volume(c.images[0]).array.flat[0])
            for c in read_dataset(tmp_path / "out").cases
            if c.split == split
        )
        for split in ("validation", "test")
    }
    assert held["test"] == [10, 11]
    assert held["validation"][0] // 2 == held["validation"][1] // 2


def test_the_command_says_what_it_wrote_and_what_it_left_out(tmp_path: Path) -> None:
    for i in range(3):
        put(tmp_path / "in", f"s{i}", np.zeros((1, 4, 4, 4)), np.ones((4, 4, 4), np.uint8))
    (tmp_path / "in" / "masks" / "s2.nii.gz").unlink()
    done = delineate("convert", tmp_path / "in", tmp_path / "out", "--layout", "hdf5")
    assert done.code == 0, done.err
    assert done.out.splitlines() == [
        f"{tmp_path / 'out'}: 1 in train.h5, 1 in val.h5",
        "1 cases without a mask were left out.",
    ]
    again = delineate("convert", tmp_path / "in", tmp_path / "out")
    assert again.code == 2
    assert "already holds something" in again.err
    flat = delineate("convert", tmp_path / "in", tmp_path / "o", "--shape", "4,4")
    assert "each scan and the shape must have three sizes" in flat.err
