"""Which samples an epoch has, in what order: alone, in several processes, under Lightning."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import nibabel as nib
import numpy as np
import pytest
import torch
from torch import Tensor

from delineate.data import epoch_order
from delineate.systems.liver.loading import Order, get_dataloader
from delineate.systems.liver.volumes import PreparedVolumes


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven training volumes and five to validate by, of noise."""
    root, rng = tmp_path_factory.mktemp("prepared"), np.random.default_rng(0)
    for i in range(12):
        folder = root / ("train" if i < 7 else "val")
        folder.mkdir(exist_ok=True)
        image = rng.standard_normal((10, 12, 9)).astype(np.float32)
        for name, array in (("image", image), ("label", (image > 1).astype(np.uint8))):
            nib.save(nib.Nifti1Image(array, np.eye(4)), folder / f"liver_{i}_{name}.nii.gz")
    return root


def ids_of(loader: Any) -> list[list[str]]:
    return [batch["id"] for batch in loader]


def test_every_epoch_has_an_order_of_its_own_without_being_told(data: Path) -> None:
    loader = get_dataloader(data, "train", 1, 0, shuffle=True)
    passes = [ids_of(loader) for _ in range(3)]
    assert all(sorted(p) == sorted(passes[0]) for p in passes)
    assert passes[0] != passes[1] != passes[2]
    loader.sampler.set_epoch(1)
    assert ids_of(loader) == passes[1]
    other = get_dataloader(data, "train", 1, 0, shuffle=True, seed=1)
    assert ids_of(other) != passes[0]


def numbers(dataset: PreparedVolumes, monkeypatch: Any, world: int, **how: Any) -> list[list[int]]:
    """What each process of a training draws in epoch 2, as long as it says."""
    dealt = []
    for rank in range(world):
        monkeypatch.setattr(epoch_order, "_process", lambda rank=rank: (rank, world))
        order = Order(dataset, seed=5, **how)
        order.set_epoch(2)
        dealt.append(list(order))
        assert len(dealt[-1]) == len(order)
    return dealt


def test_the_batches_of_two_processes_are_those_of_one(data: Path, monkeypatch: Any) -> None:
    dataset = get_dataloader(data, "train", 1, 0).dataset
    alone = numbers(dataset, monkeypatch, 1, shuffle=True, even=True)[0]
    assert sorted(alone) == list(range(14, 21))
    first, second = numbers(dataset, monkeypatch, 2, shuffle=True, even=True)
    together = [n for pair in zip(first, second, strict=True) for n in pair]
    # The eighth sample, which makes both alike long, is the first one again.
    assert together == [*alone, alone[0]]


@pytest.mark.parametrize("world", [2, 3, 5])
def test_each_case_is_validated_once_however_many_processes(
    data: Path, monkeypatch: Any, world: int
) -> None:
    dataset = get_dataloader(data, "val", 1, 0).dataset
    dealt = numbers(dataset, monkeypatch, world, shuffle=False, even=False)
    assert sorted(n for part in dealt for n in part) == list(range(10, 15))


def test_a_process_without_a_case_looks_at_one_of_another(data: Path, monkeypatch: Any) -> None:
    dataset = get_dataloader(data, "val", 1, 0).dataset
    dealt = numbers(dataset, monkeypatch, 8, shuffle=False, even=False)
    assert dealt == [[n] for n in (10, 11, 12, 13, 14, 10, 11, 12)]


class Listener(pl.LightningModule):
    """Notes what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[tuple[int, Sequence[str], float]] = []

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """A loss that learns nothing."""
        total = float(batch["image"]["data"].sum())
        self.seen.append((self.current_epoch, batch["id"], total))
        return self.weight * 0

    def configure_optimizers(self) -> Any:
        """Any."""
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(loader: Any, folder: Path, epochs: int, ckpt: Path | None = None) -> Listener:
    module = Listener()
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, default_root_dir=folder,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(module, loader, ckpt_path=ckpt)
    trainer.save_checkpoint(folder / "last.ckpt")
    return module


@pytest.mark.filterwarnings("ignore:.*LeafSpec", "ignore:.*many workers", "ignore:.*srun")
def test_lightning_tells_the_epoch_after_a_resume_too(data: Path, tmp_path: Path) -> None:
    def loader() -> Any:
        return get_dataloader(data, "train", 4, 1, shuffle=True, patch_size=(8, 8, 8))

    given = loader()
    next(iter(given))  # a look at a batch before the training changes nothing
    whole = fit(given, tmp_path / "whole", 3).seen
    expected = loader()
    for epoch in range(3):
        expected.sampler.set_epoch(epoch)
        batches = [(epoch, b["id"], float(b["image"]["data"].sum())) for b in expected]
        assert [entry for entry in whole if entry[0] == epoch] == batches
    fit(loader(), tmp_path / "half", 2)
    rest = fit(loader(), tmp_path / "rest", 3, tmp_path / "half" / "last.ckpt").seen
    assert rest == [entry for entry in whole if entry[0] == 2]
