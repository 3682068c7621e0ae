"""Trains on several processes with Lightning's DDP and writes the curves: for test_liver_ddp.py."""

import json
import sys
import warnings
from pathlib import Path

import torch
from lightning.pytorch import Callback, Trainer
from liver_toys import Cases, Tiny, settings
from torch.utils.data import DataLoader, DistributedSampler

from delineate.systems.liver.lightning_module import SegmentationLightningModule
from delineate.systems.liver.loading import Order


class Curves(Callback):
    """The loss of every step, and the figures of every epoch."""

    def __init__(self) -> None:
        self.found = {"steps": [], "epochs": []}

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.found["steps"].append(float(trainer.callback_metrics["train_loss_step"]))

    def on_train_epoch_end(self, trainer, pl_module):
        known = trainer.callback_metrics
        names = ("val_loss", "val_dice", "val_bf1", "val_acc", "val_dice/2", "train_loss_epoch")
        self.found["epochs"].append({name: float(known[name]) for name in names})


def main(folder: Path, processes: int, batch: int) -> None:
    warnings.filterwarnings("ignore", message=".*many workers")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    # Five cases: of two processes one has three in two batches, the other two in one.
    train, val = Cases(8, seed=1), Cases(5, seed=2)
    shuffled = Order(train, shuffle=True, seed=3, even=True)
    held_out = Order(val, shuffle=False, seed=3, even=False)
    assert isinstance(shuffled, DistributedSampler)
    module = SegmentationLightningModule(Tiny(), settings(folder))
    curves = Curves()
    trainer = Trainer(
        accelerator="cpu",
        devices=processes,
        strategy="ddp" if processes > 1 else "auto",
        max_epochs=2,
        callbacks=[curves],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        default_root_dir=folder,
    )
    trainer.fit(
        module,
        DataLoader(train, batch_size=batch, sampler=shuffled),
        DataLoader(val, batch_size=2, sampler=held_out),
    )
    if trainer.is_global_zero:
        curves.found["counted"] = len(val)
        (folder / "curves.json").write_text(json.dumps(curves.found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
