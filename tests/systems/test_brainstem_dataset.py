"""The documented data set and the metrics of batches."""

from itertools import pairwise, product
from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch
from brainstem_toys import SHAPE, draw, settings, write_tree
from nibabel import nifti1
from torch.utils.data import DataLoader

from delineate.errors import ConfigError, DataError
from delineate.systems.brainstem import BrainstemDataset, MetricsTracker
from delineate.systems.brainstem.tree import read_tree
from delineate.systems.brainstem.volumes import classes_of, parts_of


def test_patches_cover_every_labelled_voxel_and_repeat_half_of_it(tmp_path: Path):
    root, config = write_tree(tmp_path / "data"), settings(min_foreground=1)
    tree = read_tree(root)
    parts = [p for p in parts_of(tree, config, classes_of(tree, config)) if p.split == "train"]
    data = BrainstemDataset(root, config)
    covered = np.zeros(parts[0].mask.shape, int)
    for number, start in data.places:
        assert number == 0
        covered[tuple(slice(max(a, 0), a + 16) for a in start)] += 1
    assert (covered[parts[0].mask > 0] > 0).all()
    for axis in range(3):
        starts = sorted({start[axis] for _, start in data.places})
        assert all(b - a <= 8 for a, b in pairwise(starts))


def test_an_item_is_the_volume_there_and_its_classes(tmp_path: Path):
    root, config = write_tree(tmp_path / "data"), settings()
    data = BrainstemDataset(root, config, "all")
    image, labels = data[0]
    assert image.shape == (1, 16, 16, 16)
    assert image.dtype == torch.float32
    assert labels.shape == (16, 16, 16)
    assert labels.dtype == torch.int64
    grey, mask = draw()
    place = np.argwhere(mask == 4)[0]
    assert len(place) == 3
    values = (grey - grey.mean()) / grey.std()
    # The same voxel pairs a value with its class, wherever it is met.
    pairs = {round(float(v), 3): int(c) for v, c in zip(image.ravel(), labels.ravel(), strict=True)}
    ids = {0: 0, 4: 1, 9: 2, 29: 3, 85: 4, 99: 5}
    whole = {round(float(v), 3): ids[int(i)] for v, i in zip(values.flat, mask.flat, strict=True)}
    known = [value for value in pairs if value in whole]
    assert len(known) > 0.9 * len(pairs)
    assert np.mean([pairs[value] == whole[value] for value in known]) > 0.9
    parts = data.subdivision_mask(0)
    table = torch.tensor([0, 1, 0, 2, 1, 3])
    assert torch.equal(parts, table[labels])


def test_train_and_val_share_no_voxel(tmp_path: Path):
    root, config = write_tree(tmp_path / "data"), settings(min_foreground=1)
    # Every voxel is unlike all others.
    numbers = np.arange(prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    path = root / "nextbrain" / "T2w.nii.gz"
    nifti1.save(nifti1.Nifti1Image(numbers, nifti1.load(path).affine), path)
    values = {}
    for split in ("train", "val"):
        data = BrainstemDataset(root, config, split)
        values[split] = set(torch.cat([image.ravel() for image, _ in data]).tolist()) - {0.0}
    assert min(map(len, values.values())) > 1000
    assert not values["train"] & values["val"]


def test_small_volumes_lie_in_the_middle_of_a_patch(tmp_path: Path):
    root = write_tree(tmp_path / "data")
    data = BrainstemDataset(root, settings(patch_size=(64, 64, 64)), "val")
    assert len(data) == 1
    image, labels = data[0]
    assert labels[0].eq(0).all()
    assert labels[-1].eq(0).all()
    assert image[:, 0].eq(0).all()
    assert labels.gt(0).sum() > 100


def test_it_walks_through_a_loader_and_ends(tmp_path: Path):
    data = BrainstemDataset(write_tree(tmp_path / "data"), settings())
    batches = list(DataLoader(data, batch_size=2))
    assert sum(len(image) for image, _ in batches) == len(data) == len(list(data))
    with pytest.raises(IndexError):
        data[len(data)]


def test_too_little_foreground_and_unknown_splits_are_refused(tmp_path: Path):
    root = write_tree(tmp_path / "data")
    with pytest.raises(DataError, match="no patch of the split 'train' has 5000 labelled voxels"):
        BrainstemDataset(root, settings(min_foreground=5000))
    with pytest.raises(ConfigError, match="split 'tset' is unknown"):
        BrainstemDataset(root, settings(), "tset")


def test_settings_of_another_kind_are_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"config is a dict\. Fix: a TrainingConfig"):
        BrainstemDataset(tmp_path, {"num_classes": 6})  # type: ignore[arg-type]
    config = settings()
    config.num_heads = 3
    with pytest.raises(ConfigError, match="3 heads cannot share embed_dim 16"):
        BrainstemDataset(tmp_path, config)


def test_metrics_count_over_all_batches():
    rng = np.random.default_rng(0)
    tracker = MetricsTracker(4, ["a", "b", "c"])
    truth = torch.from_numpy(rng.integers(-1, 3, (5, 6, 6, 6)))
    logits = torch.from_numpy(rng.normal(size=(5, 3, 6, 6, 6)))
    logits = torch.cat([logits, torch.full((5, 1, 6, 6, 6), -9.0)], 1)
    for some, loss in ((slice(0, 2), 1.0), (slice(2, 5), 2.0)):
        tracker.update(logits[some], truth[some], {"total_loss": loss, "focal_loss": loss / 2})
    found, known = logits.argmax(1), truth >= 0
    metrics = tracker.compute()
    for k, name in ((1, "a"), (2, "b")):
        both = ((found == k) & (truth == k) & known).sum()
        dice = 2 * both / (((found == k) & known).sum() + (truth == k).sum())
        assert metrics["dice_per_class"][name] == pytest.approx(float(dice))
    assert np.isnan(metrics["dice_per_class"]["c"])
    assert metrics["dice"] == pytest.approx(
        (metrics["dice_per_class"]["a"] + metrics["dice_per_class"]["b"]) / 2
    )
    assert metrics["accuracy"] == pytest.approx(float((found == truth)[known].float().mean()))
    assert metrics["loss"] == pytest.approx((2 * 1 + 3 * 2) / 5)
    assert metrics["focal_loss"] == pytest.approx(0.8)
    again = MetricsTracker(4)
    again.update(found, truth)
    assert again.compute()["dice"] == metrics["dice"]
    assert np.isnan(again.compute()["loss"])
    tracker.reset()
    assert np.isnan(tracker.compute()["dice"])


def test_metrics_refuse_what_does_not_fit():
    with pytest.raises(ConfigError, match="num_classes is 1"):
        MetricsTracker(1)
    with pytest.raises(ConfigError, match="there are 1 class_names for num_classes 3"):
        MetricsTracker(3, ["a"])
    shapes = list(product((4, 5), repeat=2))[1]
    with pytest.raises(ConfigError, match=r"predictions are \(1, 4, 5\)"):
        MetricsTracker(3).update(torch.zeros(1, *shapes), torch.zeros(1, 4, 4))
    ids = torch.full((1, 4, 4, 4), 85)
    with pytest.raises(ConfigError, match="there is a class 85 but num_classes is 3"):
        MetricsTracker(3).update(torch.zeros(1, 3, 4, 4, 4), ids)
