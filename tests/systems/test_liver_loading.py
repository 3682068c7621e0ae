"""Loading: the documented batches, and samples that depend on seed and number alone."""

import json
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from torch import Tensor

from delineate.errors import ConfigError, DataError
from delineate.systems.liver.loading import get_dataloader
from delineate.systems.liver.settings import PreprocessingConfig, plain
from delineate.systems.liver.subjects import SETTINGS

SHAPE = (20, 18, 16)
AFFINE = np.array([[2.0, 0, 0, -5], [0, 1.5, 0, 3], [0, 0, 1.0, 8], [0, 0, 0, 1]])
AIR = -1.5


def write(folder: Path, name: str, shape: tuple[int, ...] = SHAPE) -> None:
    """A volume whose every voxel says where it is, air around it, a liver and a small tumour."""
    folder.mkdir(parents=True, exist_ok=True)
    image = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) / np.prod(shape)
    image[0] = AIR
    label = np.zeros(shape, np.uint8)
    label[2:-4, 2:-4, 2:-4] = 1
    label[5:7, 6:8, 4:6] = 2
    nib.save(nib.Nifti1Image(image, AFFINE), folder / f"{name}_image.nii.gz")
    nib.save(nib.Nifti1Image(label, AFFINE), folder / f"{name}_label.nii.gz")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven training volumes and five to validate by; augmentation is on."""
    root = tmp_path_factory.mktemp("prepared")
    for i in range(7):
        write(root / "train", f"liver_{i}")
    for i in range(5):
        write(root / "val", f"liver_{i + 10}")
    (root / "preprocessing_config.json").write_text(json.dumps({"rotation_degrees": 20}))
    return root


def test_a_batch_is_the_documented_one(data: Path) -> None:
    batches = list(get_dataloader(data, "val", 2, num_workers=0))
    assert [len(batch["id"]) for batch in batches] == [2, 2, 1]
    batch = batches[0]
    assert batch["id"] == ["liver_10", "liver_11"]
    for name, kind in (("image", torch.float32), ("label", torch.int64)):
        assert batch[name]["data"].shape == (2, 1, *SHAPE)
        assert batch[name]["data"].dtype == kind
        np.testing.assert_allclose(batch[name]["affine"][1], AFFINE)
    stored = nib.load(data / "val" / "liver_11_image.nii.gz")
    np.testing.assert_allclose(batch["image"]["data"][1, 0], stored.get_fdata(), atol=1e-6)
    assert torch.unique(batch["label"]["data"]).tolist() == [0, 1, 2]


def test_without_a_size_batches_have_that_of_the_preprocessing(data: Path, tmp_path: Path) -> None:
    assert get_dataloader(data, "train", num_workers=0).batch_size == 2
    tree = tmp_path / "tree"
    shutil.copytree(data, tree)
    settings = plain(PreprocessingConfig(batch_size=3))
    (tree / SETTINGS).write_text(json.dumps(settings))
    assert get_dataloader(tree, "train", num_workers=0).batch_size == 3


def test_a_tree_of_another_hand_is_read_too(tmp_path: Path) -> None:
    write(tmp_path / "train", "ct_1.5mm")
    (tmp_path / "train" / "._ct_image.nii.gz").write_bytes(b"what macOS leaves behind")
    loader = get_dataloader(str(tmp_path), "train", 1, 0)
    assert [batch["id"] for batch in loader] == [["ct_1.5mm"]]


def test_smaller_volumes_are_padded_with_air_and_labels_to_ignore(tmp_path: Path) -> None:
    write(tmp_path / "val", "a", (20, 12, 16))
    write(tmp_path / "val", "b", (16, 18, 16))
    batch = next(iter(get_dataloader(tmp_path, "val", 2, 0)))
    image, label = batch["image"]["data"], batch["label"]["data"]
    assert image.shape == label.shape == (2, 1, *SHAPE)
    assert (label[0, 0, :, 12:] == -1).all()
    assert (label[1, 0, 16:] == -1).all()
    assert (label == -1).sum() == 20 * 6 * 16 + 4 * 18 * 16
    assert (image[label == -1] == AIR).all()


def test_half_of_the_patches_lie_around_a_structure_tumours_as_often(tmp_path: Path) -> None:
    write(tmp_path / "train", "far", (40, 40, 40))
    dataset = get_dataloader(tmp_path, "train", 1, 0, patch_size=(8, 8, 8)).dataset
    shown = [torch.unique(dataset[i]["label"]["data"]).tolist() for i in range(80)]
    # A quarter of 80, give or take three deviations; of patches drawn anywhere, one or two.
    assert 9 <= sum(2 in labels for labels in shown) <= 33


def test_a_patch_knows_where_it_lies(data: Path) -> None:
    dataset = get_dataloader(data, "train", 1, 0, patch_size=(8, 10, 16), augment=False).dataset
    whole = nib.load(data / "train" / "liver_0_image.nii.gz").get_fdata()
    for number in range(0, 70, 7):
        item = dataset[number]
        assert item["id"] == "liver_0"
        assert item["image"]["data"].shape == (1, 8, 10, 16)
        point = item["image"]["affine"].numpy() @ (2, 3, 4, 1)
        place = np.rint(np.linalg.solve(AFFINE, point))[:3].astype(int)
        assert float(item["image"]["data"][0, 2, 3, 4]) == pytest.approx(whole[tuple(place)])


def test_a_patch_larger_than_its_volume_has_air_around_it(data: Path) -> None:
    item = get_dataloader(data, "train", 1, 0, patch_size=(24, 18, 16), augment=False).dataset[0]
    image, label = item["image"]["data"][0], item["label"]["data"][0]
    assert (image[:2] == AIR).all()
    assert (image[-2:] == AIR).all()
    assert (label[:2] == 0).all()
    np.testing.assert_allclose(item["image"]["affine"][:3, 3], [-9, 3, 8])


@pytest.mark.parametrize("patch", [None, (12, 12, 12)])
def test_a_sample_is_a_function_of_the_seed_and_its_number(data: Path, patch: Any) -> None:
    def sample(number: int, seed: int = 3) -> tuple[Tensor, Tensor]:
        dataset = get_dataloader(data, "train", 1, 0, patch_size=patch, seed=seed).dataset
        item = dataset[number]
        return item["image"]["data"], item["label"]["data"]

    first, again = sample(1), sample(1)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    epochs = [sample(1 + 7 * epoch)[0] for epoch in range(6)]
    assert any(not torch.equal(epochs[0], other) for other in epochs[1:])
    assert any(not torch.equal(sample(i)[0], sample(i, seed=4)[0]) for i in range(4))
    assert set(torch.unique(first[1]).tolist()) <= {0, 1, 2}


def test_what_is_turned_in_from_outside_is_air(data: Path) -> None:
    dataset = get_dataloader(data, "train", 1, 0).dataset
    for number in range(12):
        item = dataset[number]
        image, label = item["image"]["data"], item["label"]["data"]
        # Noise and grey scales move values a little; the mean of the body is far from air.
        outside = image[0, 0][label[0, 0] == 0]
        assert outside.median() < AIR + 1.2


def test_reading_processes_change_nothing(data: Path) -> None:
    alone, read = (
        list(get_dataloader(data, "train", 3, workers, shuffle=True, patch_size=(8, 8, 8)))
        for workers in (0, 2)
    )
    assert [b["id"] for b in alone] == [b["id"] for b in read]
    for a, b in zip(alone, read, strict=True):
        assert torch.equal(a["image"]["data"], b["image"]["data"])
        assert torch.equal(a["label"]["data"], b["label"]["data"])


@pytest.mark.parametrize("said", [{"apply_augmentation": False}, None])
def test_nothing_changes_where_the_tree_does_not_ask(tmp_path: Path, said: Any) -> None:
    write(tmp_path / "train", "a")
    if said is not None:
        (tmp_path / "preprocessing_config.json").write_text(json.dumps(said))
    plain = nib.load(tmp_path / "train" / "a_image.nii.gz").get_fdata()

    def changed(augment: bool | None) -> bool:
        dataset = get_dataloader(tmp_path, "train", 1, 0, augment=augment).dataset
        images = [dataset[i]["image"]["data"][0].numpy() for i in range(6)]
        return any(not np.allclose(image, plain, atol=1e-6) for image in images)

    assert not changed(None)
    assert not changed(False)
    assert changed(True)


def test_validation_is_never_augmented_or_cut(data: Path) -> None:
    dataset = get_dataloader(data, "val", 1, 0, patch_size=(8, 8, 8)).dataset
    assert torch.equal(dataset[0]["image"]["data"], dataset[5]["image"]["data"])
    assert dataset[0]["image"]["data"].shape == (1, *SHAPE)


def test_mistakes_are_said(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"split 'valid' is unknown\. Fix: use train, val, test"):
        get_dataloader(data, "valid", 1)
    with pytest.raises(DataError, match="no such folder"):
        get_dataloader(data, "test", 1)
    (tmp_path / "val").mkdir()
    with pytest.raises(DataError, match=r"holds no <id>_image\.nii\.gz"):
        get_dataloader(tmp_path, "val", 1)
    write(tmp_path / "val", "a")
    (tmp_path / "val" / "a_label.nii.gz").unlink()
    with pytest.raises(DataError, match=r"a_image\.nii\.gz: has no a_label\.nii\.gz beside it"):
        get_dataloader(tmp_path, "val", 1)


def test_a_label_of_another_shape_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "val", "a")
    small = nib.Nifti1Image(np.zeros((4, 4, 4), np.uint8), AFFINE)
    nib.save(small, tmp_path / "val" / "a_label.nii.gz")
    with pytest.raises(DataError, match=r"a_label\.nii\.gz is 4x4x4 but a_image\.nii\.gz is 20"):
        get_dataloader(tmp_path, "val", 1, 0).dataset[0]
