"""The documented trainer: logs, checkpoints, resuming, and the best weights for the test."""

import csv
import logging

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor
from lightning.pytorch.strategies import DDPStrategy
from liver_toys import Cases, Tiny, loader, settings

from delineate.engine import devices
from delineate.errors import ConfigError
from delineate.systems.liver.devices import choose_devices
from delineate.systems.liver.lightning_module import SegmentationLightningModule
from delineate.systems.liver.settings import ModelTrainingConfig, read_settings
from delineate.systems.liver.trainer import SegmentationTrainer


@pytest.fixture
def cases() -> Cases:
    return Cases(3)


def make(config, cases, *, seed: int = 0, test: bool = True) -> SegmentationTrainer:
    torch.manual_seed(seed)
    return SegmentationTrainer(
        config=config,
        model=SegmentationLightningModule(Tiny(), config),
        train_loader=loader(cases),
        val_loader=loader(cases),
        test_loader=loader(cases) if test else None,
    )


def column(path, name: str) -> list[float]:
    with path.open() as file:
        return [float(row[name]) for row in csv.DictReader(file) if row.get(name)]


def test_a_training_leaves_checkpoints_curves_and_its_settings(tmp_path, cases):
    config = settings(tmp_path, run_name="my_run", class_names=("liver", "tumor"))
    trainer = make(config, cases)
    trainer.fit()
    found = trainer.test()
    assert found["test_loss"] == pytest.approx(float(trainer.trainer.callback_metrics["test_loss"]))
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names[0].startswith("epoch=1-val_loss=")
    assert names[1] == "last.ckpt"
    run = tmp_path / "logs" / "ct-segmentation" / "my_run"
    assert list(run.glob("events.out.tfevents.*"))
    assert read_settings(ModelTrainingConfig, run / "hparams.yaml") == config
    losses = column(run / "metrics.csv", "val_loss")
    assert len(losses) == 2
    assert losses[1] < losses[0]
    assert column(run / "metrics.csv", "lr-Adam") == [0.05, 0.05]
    for path in (tmp_path / "checkpoints").iterdir():
        torch.load(path, weights_only=True)


def test_the_rate_is_monitored_and_the_end_may_come_early(tmp_path, cases):
    kinds = {type(c) for c in make(settings(tmp_path), cases).trainer.callbacks}
    assert {LearningRateMonitor, EarlyStopping} <= kinds


def test_runs_without_a_name_are_numbered(tmp_path, cases):
    for _ in range(2):
        make(settings(tmp_path, max_epochs=1), cases).fit()
    found = sorted(path.name for path in (tmp_path / "logs" / "ct-segmentation").iterdir())
    assert found == ["version_0", "version_1"]


def test_the_test_is_of_the_best_weights_and_not_of_the_last(tmp_path, cases):
    config = settings(tmp_path, max_epochs=4, monitor_mode="max", early_stopping_patience=9)
    trainer = make(config, cases)  # the highest loss is the best: that of the first epoch
    trainer.fit()
    assert "epoch=0" in trainer.best_checkpoint.name
    best = torch.load(trainer.best_checkpoint, weights_only=True)["state_dict"]
    last = torch.load(trainer.last_checkpoint, weights_only=True)["state_dict"]
    assert not torch.equal(best["model.convolution.weight"], last["model.convolution.weight"])
    found = trainer.test()
    module = SegmentationLightningModule(Tiny(), config)
    module.load_state_dict(best)
    assert torch.equal(trainer.model.model.convolution.weight, module.model.convolution.weight)
    expected = [float(module.validation_step(batch, 0)["loss"]) for batch in loader(cases)]
    assert found["test_loss"] == pytest.approx(np.mean(expected), abs=1e-6)


def test_a_resumed_training_goes_on_as_if_it_had_never_stopped(tmp_path, cases):
    whole = make(settings(tmp_path / "whole", max_epochs=4), cases)
    whole.fit()
    make(settings(tmp_path / "part", max_epochs=2), cases).fit()
    config = settings(
        tmp_path / "part",
        max_epochs=4,
        resume_from_checkpoint=str(tmp_path / "part" / "checkpoints" / "last.ckpt"),
    )
    rest = make(config, cases, seed=99)
    rest.fit()
    assert rest.trainer.current_epoch == 4
    for one, other in zip(whole.model.parameters(), rest.model.parameters(), strict=True):
        assert torch.equal(one, other)
    # test() looks at the best of this training, not at what it went on from.
    assert rest.best_checkpoint.name == whole.best_checkpoint.name


def test_resuming_under_the_same_name_keeps_the_table_of_before(tmp_path, cases):
    config = settings(tmp_path, run_name="run", max_epochs=1)
    make(config, cases).fit()
    config.max_epochs = 2
    config.resume_from_checkpoint = str(tmp_path / "checkpoints" / "last.ckpt")
    make(config, cases).fit()
    run = tmp_path / "logs" / "ct-segmentation" / "run"
    assert len(column(run / "metrics_1.csv", "val_loss")) == 1
    assert len(column(run / "metrics.csv", "val_loss")) == 1


def test_what_cannot_be_resumed_from_is_told_before_any_training(tmp_path, cases):
    config = settings(tmp_path, resume_from_checkpoint=str(tmp_path / "none.ckpt"))
    with pytest.raises(ConfigError, match=r"none.ckpt: no such file"):
        make(config, cases).fit()
    torch.save({"state_dict": {}}, tmp_path / "bare.ckpt")
    config.resume_from_checkpoint = str(tmp_path / "bare.ckpt")
    with pytest.raises(ConfigError, match=r"has no 'optimizer_states'\. Fix: give a \.ckpt of"):
        make(config, cases).fit()
    torch.save({"state_dict": Tiny()}, tmp_path / "pickled.ckpt")
    config.resume_from_checkpoint = str(tmp_path / "pickled.ckpt")
    with pytest.raises(
        ConfigError, match=r"not a readable checkpoint \(it holds \S+Tiny, and nothing"
    ):
        make(config, cases).fit()
    content = {"state_dict": {"a": torch.zeros(1)}, "optimizer_states": [], "loops": {}}
    torch.save(content, tmp_path / "other.ckpt")
    config.resume_from_checkpoint = str(tmp_path / "other.ckpt")
    with pytest.raises(ConfigError, match="do not fit the network"):
        make(config, cases).fit()


def test_what_is_missing_is_told(tmp_path, cases):
    config = settings(tmp_path)
    with pytest.raises(ConfigError, match="no test_loader"):
        make(config, cases, test=False).test()
    module = SegmentationLightningModule(Tiny(), config)
    with pytest.raises(ConfigError, match="val_loss, but there is no val_loader"):
        SegmentationTrainer(config, module, loader(cases), None).fit()


def test_a_plateau_of_the_monitored_figure_lowers_the_rate(tmp_path, cases):
    config = settings(
        tmp_path,
        max_epochs=4,
        run_name="run",
        scheduler="plateau",
        scheduler_params={"patience": 0, "factor": 0.5},
        monitor_mode="max",
    )
    make(config, cases).fit()  # the loss falls, so as a figure to be high it is on a plateau
    table = tmp_path / "logs" / "ct-segmentation" / "run" / "metrics.csv"
    rates = column(table, "lr-Adam")
    assert rates[0] == pytest.approx(0.05)
    assert rates[-1] < rates[0]


def test_no_card_is_said_and_half_precision_becomes_what_a_processor_has(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(devices, "choose_precision", lambda wish, device: "bf16")
    chosen = choose_devices(ModelTrainingConfig(gpus=4))
    assert chosen == {"accelerator": "cpu", "devices": 1, "precision": "bf16-mixed"}
    assert "gpus is 4, but this machine has no card" in caplog.text
    assert "precision is 16-mixed, which a processor has not: training in bf16" in caplog.text
    caplog.clear()
    assert choose_devices(settings(tmp_path))["precision"] == "32-true"
    assert not caplog.text


def test_as_many_cards_are_taken_as_there_are(monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    chosen = choose_devices(ModelTrainingConfig(gpus=4))
    assert chosen["devices"] == 2
    assert isinstance(chosen["strategy"], DDPStrategy)
    assert chosen["precision"] == "16-mixed"
    assert "this machine has 2: training on 2 of them" in caplog.text
    assert choose_devices(ModelTrainingConfig(gpus=1))["strategy"] == "auto"


def test_an_earlier_last_checkpoint_is_not_replaced_in_silence(tmp_path, cases, caplog):
    caplog.set_level(logging.WARNING, logger="delineate")
    make(settings(tmp_path, max_epochs=1), cases).fit()
    assert "will be replaced" not in caplog.text
    make(settings(tmp_path, max_epochs=1), cases).fit()
    assert "last.ckpt is of an earlier training and will be replaced" in caplog.text
