"""Checkpoints, early stopping and the rate, by the settings."""

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint
from liver_toys import settings
from torch.utils.data import DataLoader

from delineate.errors import ConfigError
from delineate.systems.liver.callbacks import get_callbacks

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval"),
    pytest.mark.filterwarnings("ignore:.*have no `val_dataloader`"),
    pytest.mark.filterwarnings("ignore:.*The `srun` command"),
]


class Scripted(LightningModule):
    """Logs the figures that it is told, one an epoch."""

    def __init__(self, figures) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.figures = figures

    def training_step(self, batch, batch_idx):
        return self.weight**2

    def validation_step(self, batch, batch_idx):
        self.log("val_dice/tumor", self.figures[self.current_epoch])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def run(config, figures) -> Trainer:
    trainer = Trainer(
        accelerator="cpu",
        callbacks=get_callbacks(config),
        max_epochs=len(figures),
        default_root_dir=config.log_dir,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )
    batches = DataLoader(torch.zeros(1), batch_size=1)
    trainer.fit(Scripted(figures), batches, batches)
    return trainer


def test_they_are_the_three_documented_ones_and_watch_the_same_figure(tmp_path):
    config = settings(
        tmp_path, monitor_metric="val_dice", monitor_mode="max", early_stopping_patience=7
    )
    checkpoint, stopping, rate = get_callbacks(config)
    assert isinstance(checkpoint, ModelCheckpoint)
    assert isinstance(stopping, EarlyStopping)
    assert isinstance(rate, LearningRateMonitor)
    assert (checkpoint.monitor, checkpoint.mode, checkpoint.save_top_k) == ("val_dice", "max", 1)
    assert (stopping.monitor, stopping.mode, stopping.patience) == ("val_dice", "max", 7)


def test_the_best_is_kept_and_the_last_is_of_the_last_epoch(tmp_path):
    config = settings(tmp_path, monitor_metric="val_dice/tumor", monitor_mode="max")
    trainer = run(config, [0.1, 0.4, 0.3])
    found = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert found == ["epoch=1-val_dice_tumor=0.4000.ckpt", "last.ckpt"]
    assert trainer.checkpoint_callback.best_model_path.endswith(found[0])
    last = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["epoch"] == 2
    assert "lr-SGD" in trainer.callback_metrics


def test_training_ends_after_the_patience_of_any_figure_and_mode(tmp_path):
    config = settings(
        tmp_path,
        monitor_metric="val_dice/tumor",
        monitor_mode="max",
        early_stopping_patience=2,
    )
    nan = float("nan")
    trainer = run(config, [0.5, nan, 0.4, 0.9, 0.9])
    assert trainer.current_epoch == 3


def test_a_figure_that_nobody_logs_is_told_before_training(tmp_path):
    config = settings(tmp_path, monitor_metric="val_dice/tumour", monitor_mode="max")
    with pytest.raises(ConfigError, match=r"'val_dice/tumour' is not logged. Did you mean 'val_di"):
        run(config, [0.1])
    assert not (tmp_path / "checkpoints" / "last.ckpt").exists()
