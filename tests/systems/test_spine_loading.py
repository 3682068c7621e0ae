"""Loaders: what a batch is, that chance is pure, what is kept, whom the sampler draws."""

import os
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from spine_slices import LOAD, classed, data, experiment, masked, noise, picture

from delineate.errors import ConfigError, DataError
from delineate.systems.spine.samples.batch import SliceBatch
from delineate.systems.spine.samples.loading import make_loader, make_loaders

BOTH = ["data", "label"]
CHAIN = [
    LOAD,
    {"name": "tv.Resize", "params": {"size": [8, 6]}, "target": BOTH},
    {"name": "to_gray"},
    {"name": "tv.RandomHorizontalFlip", "target": BOTH, "phase": ["train"]},
    {"name": "custom_bias_field", "params": {"p": 0.7}, "phase": ["train"]},
    {"name": "tv.ToImage"},
    {"name": "tv.ToDtype", "params": {"dtype": "float32", "scale": True}},
]


def batches(loader: Any, passes: int = 1) -> list[SliceBatch]:
    return [batch for _ in range(passes) for batch in loader]


def alike(one: list[SliceBatch], other: list[SliceBatch]) -> bool:
    assert len(one) == len(other)
    return all(
        torch.equal(a.image, b.image)
        and (a.label is None or b.label is None or torch.equal(a.label, b.label))
        and a.slices == b.slices
        for a, b in zip(one, other, strict=True)
    )


@pytest.fixture
def world(tmp_path: Path) -> Path:
    masked(tmp_path / "a", {"train": 7, "val": 3}, shape=(12, 10, 3))
    return tmp_path


def test_a_batch_of_masks_is_what_networks_take(world: Path):
    loaders = make_loaders(experiment(world, data("segmentation_file", CHAIN)))
    assert (loaders.task, loaders.classes, loaders.test) == ("segmentation", None, None)
    found = batches(loaders.train)
    assert [len(batch) for batch in found] == [4, 3]
    assert found[0].image.shape == found[0].label.shape == (4, 1, 8, 6)
    assert found[0].image.dtype == found[0].label.dtype == torch.float32
    assert set(found[0].label.unique().tolist()) <= {0.0, 1.0}
    assert 0 <= found[0].image.min() < found[0].image.max() <= 1
    assert len({item for batch in found for item in batch.slices}) == 7
    moved = found[0].to("cpu", torch.float64)
    assert moved.image.dtype == torch.float64
    assert moved.slices == found[0].slices


def test_a_batch_of_classes_is_one_hot_whether_steps_say_so_or_not(tmp_path: Path):
    classed(tmp_path / "a", {"train": 3, "val": 1}, ["t1", "t2", "x"])
    own = [{"name": "label_encoding", "params": {"ordered": True}}, {"name": "one_hot_encoding"}]
    for steps in (own, own[:1], []):
        loaders = make_loaders(experiment(tmp_path, data("file", steps)))
        assert loaders.classes == ("t1", "t2", "x")
        for batch in batches(loaders.train):
            expected = [["t1", "t2", "x"].index(item.label or "") for item in batch.slices]
            assert batch.label.argmax(1).tolist() == expected
            assert batch.label.sum(1).tolist() == [1.0] * len(batch)


def test_epochs_differ_and_come_again_alike_with_cache_and_without(world: Path):
    asked = data("segmentation_file", CHAIN)
    plain = batches(
        make_loaders(experiment(world, asked.model_copy(update={"cache": False}))).train, 3
    )
    kept = batches(make_loaders(experiment(world, asked)).train, 3)
    assert alike(plain, kept)
    by_slice = [
        {
            item: batch.image[row]
            for batch in plain[e : e + 2]
            for row, item in enumerate(batch.slices)
        }
        for e in (0, 2)
    ]
    assert any(not torch.equal(by_slice[0][item], by_slice[1][item]) for item in by_slice[0])
    other = experiment(world, asked).model_copy(update={"seed": 7})
    assert not alike(plain, batches(make_loaders(other).train, 3))


def test_validation_is_the_same_in_every_epoch_even_where_it_is_drawn(world: Path):
    steps = [dict(s) for s in CHAIN]
    steps[3]["phase"] = steps[4]["phase"] = ["train", "val"]
    loader = make_loaders(experiment(world, data("segmentation_file", steps))).val
    assert alike(batches(loader), batches(loader))


@pytest.mark.slow
@pytest.mark.parametrize(
    "how", [{"num_workers": 2}, {"num_workers": 1, "persistent_workers": True}]
)
def test_reading_processes_change_nothing(world: Path, how: dict):
    asked = data("segmentation_file", CHAIN)
    alone = batches(make_loaders(experiment(world, asked)).train, 2)
    loaders = make_loaders(experiment(world, asked, loader={**how, "prefetch_factor": 2}))
    assert alike(alone, batches(loaders.train, 2))


def test_persistent_workers_and_pinned_memory_without_either_are_no_error(world: Path):
    how = {"persistent_workers": True, "pin_memory": True, "prefetch_factor": 4}
    assert batches(
        make_loaders(experiment(world, data("segmentation_file", CHAIN), loader=how)).train
    )


def test_a_dataset_travels_to_a_process_that_is_started_afresh(world: Path):
    loader = make_loaders(experiment(world, data("segmentation_file", CHAIN))).train
    before = loader.dataset[3]
    after = pickle.loads(pickle.dumps(loader.dataset))[3]
    np.testing.assert_array_equal(before.image, after.image)
    collate = pickle.loads(pickle.dumps(loader.collate_fn))
    assert torch.equal(collate([before]).image, loader.collate_fn([after]).image)


def test_kept_slices_are_read_again_and_changed_files_are_not(world: Path):
    asked = experiment(world, data("segmentation_file", CHAIN))
    first = batches(make_loaders(asked).val)
    image = Path(first[0].slices[0].input_path)
    stamp, pixels = image.stat(), image.read_bytes()
    # The file's content changes behind its size and time: what was kept is what comes.
    image.write_bytes(bytes(len(pixels)))
    os.utime(image, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert alike(first, batches(make_loaders(asked).val))
    Image.fromarray(noise(99, (12, 10, 3))).save(image)
    assert not alike(first, batches(make_loaders(asked).val))


@pytest.mark.parametrize("harm", ["pixels", "index", "gone"])
def test_a_broken_cache_is_made_anew(world: Path, harm: str):
    asked = experiment(world, data("segmentation_file", CHAIN))
    first = batches(make_loaders(asked).val)
    for file in (world / "log/slice_cache").rglob("*.bin" if harm == "pixels" else "index"):
        if harm == "gone":
            file.unlink()
        else:
            text = bytearray(file.read_bytes())
            text[len(text) // 2 :: 7] = b"\xff" * len(text[len(text) // 2 :: 7])
            file.write_bytes(text)
    assert alike(first, batches(make_loaders(asked).val))
    assert alike(first, batches(make_loaders(asked).val))


def test_steps_that_differ_keep_different_slices(world: Path):
    small = [dict(s) for s in CHAIN]
    small[1] = {**small[1], "params": {"size": [4, 4]}}
    for steps, shape in ((CHAIN, (8, 6)), (small, (4, 4)), (CHAIN, (8, 6))):
        loaders = make_loaders(experiment(world, data("segmentation_file", steps)))
        assert all(batch.image.shape[2:] == shape for batch in batches(loaders.val))
    assert len(list((world / "log/slice_cache").iterdir())) == 2


@pytest.mark.parametrize(
    ("shape", "said"),
    [((9, 10, 3), r"fit into no batch\. Fix: end with alb\.Resize"), ((12, 10), "have to_gray")],
)
def test_slices_that_fit_into_no_batch_are_named(world: Path, shape: tuple[int, ...], said: str):
    picture(world / "a/train/images/odd.png", noise(1, shape))
    picture(world / "a/train/masks/odd.png", noise(1, shape[:2]))
    loaders = make_loaders(experiment(world, data("segmentation_file", [LOAD]), batch_size=8))
    with pytest.raises(DataError, match=rf"(?s)odd\.png.*{said}"):
        batches(loaders.train)


def test_a_mask_that_is_not_resized_with_its_picture_is_named(world: Path):
    steps = [LOAD, {"name": "tv.Resize", "params": {"size": [8, 6]}, "target": ["data"]}]
    loaders = make_loaders(experiment(world, data("segmentation_file", steps)))
    with pytest.raises(DataError, match=r"the picture is 8x6 and its mask 12x10"):
        batches(loaders.train)


def test_the_weighted_sampler_shows_every_class_equally_often(tmp_path: Path):
    classed(tmp_path / "a", {"train": 2, "val": 1}, ["rare"])
    classed(tmp_path / "a", {"train": 18, "val": 1}, ["usual"])
    counts: dict[str, Counter[str | None]] = {}
    for name, params in {
        "balanced": {"num_samples": 200},
        "said": {"num_samples": 200, "weights": {"rare": 0, "usual": 1}},
        "listed": {"num_samples": 200, "weights": [1, 0]},
    }.items():
        sampler = {"name": "WeightedRandomSampler", "params": params}
        loaders = make_loaders(experiment(tmp_path, data("file"), sampler=sampler))
        counts[name] = Counter(s.label for b in batches(loaders.train) for s in b.slices)
    assert counts["balanced"].total() == 200
    assert 70 < counts["balanced"]["rare"] < 130
    assert counts["said"] == {"usual": 200}
    assert counts["listed"] == {"rare": 200}


def test_the_weighted_sampler_balances_slices_with_and_without_foreground(tmp_path: Path):
    masked(tmp_path / "a", {"train": 2, "val": 1})
    for number in range(18):
        picture(tmp_path / f"a/train/images/e{number}.png", noise(number))
        picture(tmp_path / f"a/train/masks/e{number}.png", np.zeros((12, 10), np.uint8))
    sampler = {"name": "WeightedRandomSampler", "params": {"num_samples": 200}}
    asked = experiment(tmp_path, data("segmentation_file", [LOAD]), sampler=sampler)
    shown = torch.cat([b.label.amax((1, 2, 3)) for b in batches(make_loaders(asked).train)])
    assert 70 < float(shown.sum()) < 130


def test_a_slice_that_comes_again_in_an_epoch_is_augmented_anew(world: Path):
    sampler = {"name": "WeightedRandomSampler", "params": {"num_samples": 30}}
    asked = experiment(world, data("segmentation_file", CHAIN), sampler=sampler)
    (images, slices) = zip(
        *((b.image, b.slices) for b in batches(make_loaders(asked).train)), strict=True
    )
    name = Counter(item for part in slices for item in part).most_common(1)[0][0]
    every = torch.cat(images)[[item is name for part in slices for item in part]]
    assert len(every.flatten(1).unique(dim=0)) > 1


@pytest.mark.parametrize(
    ("sampler", "said"),
    [
        ({"name": "WeightedSampler"}, r"'WeightedSampler' is unknown.*WeightedRandomSampler"),
        ({"name": "WeightedRandomSampler", "params": {"weights": [1]}}, "1 weights for 0 classes"),
        (
            {"name": "WeightedRandomSampler", "params": {"num_samples": 9, "replacement": False}},
            "9 draws of 7 items",
        ),
    ],
)
def test_a_sampler_that_cannot_be_is_refused(world: Path, sampler: dict, said: str):
    with pytest.raises(ConfigError, match=f"trainer.sampler.*{said}"):
        make_loaders(experiment(world, data("segmentation_file", [LOAD]), sampler=sampler))


def test_steps_on_a_batch_are_ours_by_sample_and_ones_own_at_once(world: Path, tmp_path: Path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "mine.py").write_text(
        "from delineate.systems.spine.schema.bases import BasePreprocess\n"
        "class Mixed(BasePreprocess):\n"
        "    def __call__(self, data):\n"
        "        assert data.ndim == 4\n"
        "        return data.flip(0)\n"
    )
    asked = experiment(world, data("segmentation_file", CHAIN))
    before = batches(make_loaders(asked).val)[0]
    steps = [
        {"name": "Mixed", "target": BOTH},
        {"name": "tv.Normalize", "params": {"mean": 0.5, "std": 2}, "target": ["data"]},
    ]
    section = data("segmentation_file", CHAIN).model_dump() | {"batch_preprocess": steps}
    changed = asked.model_copy(
        update={
            "data": asked.data.model_validate(section),
            "directory": asked.directory.model_copy(update={"model": own}),
        }
    )
    after = batches(make_loaders(changed).val)[0]
    assert torch.allclose(after.image, (before.image.flip(0) - 0.5) / 2)
    assert torch.equal(after.label, before.label.flip(0))


def test_one_phase_alone_keeps_the_order_and_the_classes_of_a_network(tmp_path: Path):
    classed(tmp_path / "a", {"train": 2, "val": 2}, ["t1", "t2"])
    asked = experiment(tmp_path, data("file"))
    loader = make_loader(asked, "train", classes=("x", "t1", "t2"))
    found = batches(loader)
    assert [item.label for batch in found for item in batch.slices] == ["t1", "t1", "t2", "t2"]
    assert torch.cat([batch.label for batch in found]).argmax(1).tolist() == [1, 1, 2, 2]
    with pytest.raises(DataError, match="the class 't1' is none of the network's: t2"):
        make_loader(asked, "train", classes=("t2",))
    with pytest.raises(
        DataError, match="no slice is in phase test; there are 4 in train, 4 in val"
    ):
        make_loader(asked, "test")


def test_no_slice_to_train_on_is_refused(tmp_path: Path):
    classed(tmp_path / "a", {"val": 2}, ["t1"])
    with pytest.raises(DataError, match="a: no slice to train on"):
        make_loaders(experiment(tmp_path, data("file")))
