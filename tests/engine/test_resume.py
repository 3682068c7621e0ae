"""The loop, killed and begun again in new objects, against the loop that was left in peace."""

import csv
import os
import signal
from itertools import count
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback
from torch import nn

from delineate.augment import Sequence
from delineate.contracts import Batch, Target
from delineate.engine.callbacks import Chance, Figures, Progress, Validation
from delineate.engine.clock import Clock
from delineate.engine.fit import fit
from delineate.engine.interrupt import Interrupted, Stop
from delineate.engine.memory_use import MEMORY_COLUMNS
from delineate.engine.optim import parameter_groups
from delineate.engine.resume import Saving, States
from delineate.engine.schedules import Cosine
from delineate.engine.state_file import read_state
from delineate.engine.task import Task
from delineate.losses import CrossEntropy, Dice, WeightedSum
from delineate.tracking.csv_table import CsvTable

STEPS = 13
FIGURES = ["progress", "seconds", "lr", "loss", "loss/dice", "loss/ce", "val_dice"]
COLUMNS = [*FIGURES, *MEMORY_COLUMNS]


class Killed(BaseException):
    pass


class Kill(Callback):
    """After so many batches kills the training, before the step is saved, or sends a signal."""

    def __init__(self, after, number):
        self.after = after
        self.number = number

    def on_train_batch_end(self, trainer, task, outputs, batch, batch_idx):
        if batch_idx + 1 == self.after:
            if self.number is None:
                raise Killed
            os.kill(os.getpid(), self.number)


def batches(start):
    for step in count(start):
        image = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(step))
        mask = (image[:, 0] > 0.5).long()
        yield Batch(
            image=image, target=Target(mask=mask), spacing=(1.0, 1.0), cases=("a", "b"), step=step
        )


def score(network):
    """A figure that goes up and down with the weights."""
    weights = torch.cat([p.flatten() for p in network.parameters()])
    return {"val_dice": float(torch.sin(1000 * weights.sum()) + 1) / 2}


def train(folder, *, kill=None, number=None, clock=None, accumulate=1, every=3, score=score):
    """One life of a training; its task is returned."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.3), nn.Conv2d(4, 2, 1)
    )
    torch.manual_seed(int.from_bytes(os.urandom(4), "little"))  # a process begins anywhere
    task = Task(
        network,
        WeightedSum({"dice": Dice(), "ce": CrossEntropy()}, {"dice": 1.0, "ce": 1.0}),
        augment=Sequence([], patch=(8, 8)),
        optimizer=torch.optim.AdamW(parameter_groups(network, 0.01), lr=0.05),
        schedule=Cosine(),
        clock=clock or Clock(steps=STEPS),
    )
    states, stop = States(folder), Stop()
    begin = states.newest()
    keep = folder / "best.safetensors"
    callbacks = [
        Progress(lambda progress, text: None),
        Validation(score, keep=keep, times=4, average=0.9, stop=stop),
        Figures(every=2),
        Chance(),
        Kill(kill, number),
        Saving(states, stop, begin=begin, steps=every),
    ]
    fit(
        task,
        batches(0 if begin is None else begin.step * accumulate),
        device="cpu",
        precision="fp32",
        callbacks=callbacks,
        loggers=[CsvTable(folder / "metrics.csv", COLUMNS)],
        clip=1.0,
        accumulate=accumulate,
    )
    return task


def made(folder):
    """Everything that a training leaves but time and memory."""
    last = read_state(States(folder).files[-1])
    last["Validation"]["spent"] = last["clock"] = last["CsvTable"] = None
    with (folder / "metrics.csv").open() as file:
        rows = [{**row, "seconds": "", "memory_gb": ""} for row in csv.DictReader(file)]
    return last, rows, (folder / "best.safetensors").read_bytes()


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.fixture(scope="module", params=[1, 3], ids=["plain", "accumulated"])
def whole(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    train(folder, accumulate=request.param)
    return request.param, made(folder)


def test_a_training_that_is_killed_again_and_again_ends_in_the_same_bits(whole, tmp_path):
    accumulate, expected = whole
    for steps in (2, 4, 5, 4):
        with pytest.raises(Killed):
            train(tmp_path, kill=steps * accumulate - accumulate // 2, accumulate=accumulate)
    train(tmp_path, accumulate=accumulate)
    assert same(expected, made(tmp_path))


def test_a_damaged_state_is_named_and_the_one_before_leads_to_the_same_bits(
    whole, tmp_path, caplog
):
    accumulate, expected = whole
    with pytest.raises(Killed):
        train(tmp_path, kill=8 * accumulate, accumulate=accumulate)
    before, last = States(tmp_path).files
    assert (before.name, last.name) == ("state-00000003.safetensors", "state-00000006.safetensors")
    data = last.read_bytes()
    last.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with caplog.at_level("INFO", "delineate"):
        train(tmp_path, accumulate=accumulate)
    assert f"{last}: the checksum is wrong" in caplog.text
    assert "goes on from step 3" in caplog.text
    assert same(expected, made(tmp_path))


def test_a_state_that_was_being_written_is_not_read(whole, tmp_path):
    accumulate, expected = whole
    with pytest.raises(Killed):
        train(tmp_path, kill=5 * accumulate, accumulate=accumulate)
    (tmp_path / "state-00000004.safetensors.part").write_bytes(b"half")
    train(tmp_path, accumulate=accumulate)
    assert same(expected, made(tmp_path))


def test_two_states_are_kept_and_no_more(tmp_path):
    train(tmp_path, every=1)
    assert [path.name for path in States(tmp_path).files] == [
        "state-00000012.safetensors",
        "state-00000013.safetensors",
    ]


def test_a_complete_training_is_not_repeated(tmp_path, caplog):
    train(tmp_path)
    before = made(tmp_path)
    with caplog.at_level("INFO", "delineate"):
        task = train(tmp_path, kill=1)
    assert "the training is complete: step 13" in caplog.text
    assert task.clock.step == STEPS
    assert same(before, made(tmp_path))


@pytest.mark.parametrize("at", [2, 4], ids=["amid", "last"])
def test_a_training_killed_in_a_validation_holds_it_again(tmp_path, at):
    train(tmp_path / "whole")
    lives = []

    def fails(network):
        lives.append(network)
        if len(lives) == at:
            raise Killed
        return score(network)

    with pytest.raises(Killed):
        train(tmp_path / "other", score=fails)
    train(tmp_path / "other")
    assert same(made(tmp_path / "whole"), made(tmp_path / "other"))


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGINT"])
@pytest.mark.parametrize("place", ["step", "validation"])
def test_a_signal_saves_the_step_and_the_rest_follows(tmp_path, name, place):
    train(tmp_path / "whole")
    number, before = signal.Signals[name], signal.getsignal(signal.Signals[name])
    after = []

    def send(network):
        os.kill(os.getpid(), number)
        after.append(network)

    sent = {"score": send} if place == "validation" else {"kill": 6, "number": number}
    with pytest.raises(Interrupted) as caught:
        train(tmp_path / "other", every=1000, **sent)
    shown = "Ctrl-C" if name == "SIGINT" else name
    step = 4 if place == "validation" else 6
    assert caught.value.code == 128 + number
    assert str(caught.value) == f"Stopped by {shown}. The same command goes on from step {step}."
    assert not after
    assert signal.getsignal(number) == before
    train(tmp_path / "other")
    assert same(made(tmp_path / "whole"), made(tmp_path / "other"))


def test_an_error_after_a_signal_is_told_as_the_signal():
    stop = Stop()
    stop.number = signal.SIGTERM
    with pytest.raises(Interrupted, match="goes on from the last saved state"), stop.explaining():
        raise RuntimeError("DataLoader worker is killed by signal: Terminated")


def test_a_budget_in_seconds_goes_on_with_the_time_that_was_used(tmp_path):
    with pytest.raises(Killed):
        train(tmp_path, clock=Clock(seconds=1000.0), kill=4)
    path = States(tmp_path).files[-1]
    used = read_state(path)["clock"]["elapsed"]
    assert 0 < used < 100
    task = train(tmp_path, clock=Clock(seconds=used + 0.3))
    assert used + 0.3 <= task.clock.elapsed < used + 5
    assert task.clock.step > 3


def test_the_means_of_accumulated_batches_are_those_of_one_larger_batch():
    def gradients(batch, accumulate):
        torch.manual_seed(0)
        network = nn.Conv2d(1, 2, 1)
        task = Task(
            network,
            WeightedSum({"ce": CrossEntropy()}, {"ce": 1.0}),
            augment=Sequence([], patch=(8, 8)),
            optimizer=torch.optim.SGD(network.parameters(), lr=0.5),
            schedule=lambda progress: 1.0,
            clock=Clock(steps=1),
        )
        fit(
            task,
            iter(batch),
            device="cpu",
            precision="fp32",
            callbacks=[Progress(lambda progress, text: None)],
            loggers=[CsvTable(Path(os.devnull), [])],
            clip=None,
            accumulate=accumulate,
        )
        assert task.clock.step == 1
        return network.weight.detach()

    parts = [batch for batch, _ in zip(batches(0), range(4), strict=False)]
    mask = torch.cat([part.target.mask for part in parts])
    large = Batch(
        image=torch.cat([part.image for part in parts]),
        target=Target(mask=mask),
        spacing=(1.0, 1.0),
        cases=("a",) * 8,
        step=0,
    )
    torch.testing.assert_close(gradients(parts, 4), gradients([large], 1), rtol=1e-5, atol=1e-6)


def test_a_compiled_task_keeps_the_networks_names_and_answers(monkeypatch):
    compiled = torch.compile
    monkeypatch.setattr(torch, "compile", lambda call: compiled(call, backend="eager"))
    network = nn.Conv2d(1, 2, 1)
    loss = WeightedSum({"ce": CrossEntropy()}, {"ce": 1.0})
    kinds = [
        Task(
            network,
            loss,
            augment=Sequence([], patch=(8, 8)),
            optimizer=torch.optim.SGD(network.parameters(), lr=0.5),
            schedule=lambda progress: 1.0,
            clock=Clock(steps=1),
            compiled=compiled,
        )
        for compiled in (False, True)
    ]
    image = torch.randn(1, 1, 8, 8)
    assert kinds[0].state_dict().keys() == kinds[1].state_dict().keys()
    torch.testing.assert_close(kinds[1](image).logits, kinds[0](image).logits)
