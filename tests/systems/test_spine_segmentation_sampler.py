"""Pictures of slices from all over the validation, with something to find, the same each time."""

from types import SimpleNamespace

import numpy as np
import torch
from lightning.pytorch.trainer.states import TrainerFn
from PIL import Image

from delineate.systems.spine.learning.segmentation_sampler import SegmentationSampler

SIZE = 8


def trainer(epoch: int = 0) -> SimpleNamespace:
    state = SimpleNamespace(fn=TrainerFn.FITTING)
    return SimpleNamespace(
        sanity_checking=False, state=state, is_global_zero=True, current_epoch=epoch, loggers=[]
    )


def validate(sampler: SegmentationSampler, masks: torch.Tensor, *, epoch: int = 0) -> list[int]:
    """The numbers of the slices that were kept; batches of four."""
    sampler.on_validation_epoch_start(trainer(epoch), None)
    for start in range(0, len(masks), 4):
        label = masks[start : start + 4]
        images = torch.rand(len(label), 1, SIZE, SIZE)
        outputs = {"probabilities": torch.cat((1 - label, label), 1)}
        batch = SimpleNamespace(image=images, label=label)
        sampler.on_validation_batch_end(trainer(epoch), None, outputs, batch, start // 4)
    kept = sorted(row.number for row in sampler._rows)
    sampler.on_validation_epoch_end(trainer(epoch), None)
    return kept


def test_slices_come_from_all_over_the_data_and_are_the_same_at_every_validation(tmp_path):
    masks = torch.zeros(55, 1, SIZE, SIZE)
    masks[:, :, 2:5, 2:6] = 1
    sampler = SegmentationSampler(3, folder=tmp_path)
    first, second = (validate(sampler, masks, epoch=epoch) for epoch in (0, 1))
    assert first == second
    assert len(first) == 3
    assert min(np.diff(first)) >= 8
    assert sorted(p.name for p in tmp_path.iterdir()) == ["epoch_000.png", "epoch_001.png"]
    # Three rows, three panels a row, and the line that says what the colours are.
    with Image.open(tmp_path / "epoch_000.png") as picture:
        assert picture.size == (3 * 256 + 2 * 4, 3 * 256 + 2 * 4 + 4 + 18)


def test_what_shows_something_comes_before_what_does_not(tmp_path):
    masks = torch.zeros(20, 1, SIZE, SIZE)
    masks[[7, 8], :, 3:5, 3:5] = 1
    assert {7, 8} < set(validate(SegmentationSampler(3, folder=tmp_path), masks))
