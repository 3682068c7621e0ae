"""A training minds the signals itself, whatever SLURM's variables tell Lightning."""

import signal
import warnings
from itertools import count

import pytest
import torch
from lightning.pytorch import Callback
from torch import nn

from delineate.augment import Sequence
from delineate.contracts import Batch, Target
from delineate.engine.callbacks import Progress
from delineate.engine.clock import Clock
from delineate.engine.fit import fit
from delineate.engine.schedules import Constant
from delineate.engine.task import Task
from delineate.losses import Dice, WeightedSum


class Handler(Callback):
    """Notes who hears SIGUSR1 while a training is set up."""

    found: object = None

    def setup(self, trainer, task, stage):
        self.found = signal.getsignal(signal.SIGUSR1)

    def on_train_start(self, trainer, task):
        self.found = (self.found, signal.getsignal(signal.SIGUSR1))


def batches():
    for step in count():
        mask = torch.ones(1, 4, 4, dtype=torch.long)
        yield Batch(
            image=torch.ones(1, 1, 4, 4),
            target=Target(mask=mask),
            spacing=(1.0, 1.0),
            cases=("a",),
            step=step,
        )


@pytest.mark.parametrize("inside", [False, True], ids=["on a login node", "in a job of many tasks"])
def test_slurm_is_not_lightnings_business(tmp_path, monkeypatch, inside):
    (tmp_path / "srun").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    if inside:
        for name, value in {"NTASKS": "4", "NNODES": "2", "JOB_NAME": "a", "PROCID": "0"}.items():
            monkeypatch.setenv(f"SLURM_{name}", value)
    network = nn.Conv2d(1, 2, 1)
    task = Task(
        network,
        WeightedSum({"dice": Dice()}, {"dice": 1.0}),
        augment=Sequence([], patch=(4, 4)),
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        schedule=Constant(),
        clock=Clock(steps=2),
    )
    handler = Handler()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(
            task,
            batches(),
            device="cpu",
            precision="fp32",
            callbacks=[Progress(lambda progress, text: None), handler],
            loggers=[],
            clip=None,
            accumulate=1,
        )
    assert task.clock.step == 2
    assert handler.found == (signal.SIG_DFL, signal.SIG_DFL)
