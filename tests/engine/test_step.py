"""The timed step is the trainer's step."""

from itertools import islice

import pytest
import torch
from test_fit import batches
from torch import nn

from delineate.augment import Flip, Sequence
from delineate.engine.callbacks import Progress, Validation
from delineate.engine.clock import Clock
from delineate.engine.fit import fit
from delineate.engine.optim import parameter_groups
from delineate.engine.profile import Stopwatch
from delineate.engine.schedules import Cosine
from delineate.engine.step import PARTS, TrainingStep
from delineate.engine.task import Task
from delineate.losses import CrossEntropy, Dice, WeightedSum
from delineate.tracking.csv_table import CsvTable


def new_task() -> Task:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))
    return Task(
        network,
        WeightedSum({"dice": Dice(), "ce": CrossEntropy()}, {"dice": 1.0, "ce": 1.0}),
        augment=Sequence([Flip(axes=(0,))], patch=(8, 8)),
        optimizer=torch.optim.SGD(parameter_groups(network, 0.01), lr=0.1),
        schedule=Cosine(),
        clock=Clock(steps=4),
        seed=3,
    )


def step_of(task: Task, *, precision="fp32", accumulate=1) -> TrainingStep:
    return TrainingStep(
        task, device="cpu", precision=precision, clip=0.1, accumulate=accumulate, ema=0.9
    )


def bits(network: nn.Module) -> list[bytes]:
    return [tensor.numpy().tobytes() for tensor in network.state_dict().values()]


@pytest.mark.parametrize(("precision", "accumulate"), [("fp32", 1), ("fp32", 3), ("bf16", 1)])
def test_as_many_steps_leave_the_same_bits_as_the_trainer(tmp_path, precision, accumulate):
    trained = new_task()
    validation = Validation(
        lambda network: {"val_dice": 0.0}, keep=tmp_path / "w.safetensors", times=1, average=0.9
    )
    fit(
        trained,
        batches(),
        device="cpu",
        precision=precision,
        callbacks=[Progress(lambda progress, text: None), validation],
        loggers=[CsvTable(tmp_path / "metrics.csv", ["progress", "seconds", "val_dice"])],
        clip=0.1,
        accumulate=accumulate,
    )
    timed = new_task()
    step = step_of(timed, precision=precision, accumulate=accumulate)
    for batch in islice(batches(), 4 * accumulate):
        timed.clock.step = step.batches // accumulate
        step(batch)
    assert bits(timed.network) == bits(trained.network)
    assert bits(step.average.network) == bits(validation._average.network)


def test_every_part_but_reading_is_named_once_and_in_order():
    watch = Stopwatch("cpu")
    watch.start()
    step_of(new_task())(next(batches()), watch.part)
    assert tuple(watch.seconds()) == PARTS[1:]


def test_a_batch_in_parts_has_several_passes_and_the_same_names():
    task, watch = new_task(), Stopwatch("cpu")
    step = step_of(task)
    task.memory.parts = 2
    watch.start()
    step(next(batches()), watch.part)
    assert tuple(watch.seconds()) == PARTS[1:]
    assert [name for name, _ in watch._marks].count("forward") == 2
    assert [name for name, _ in watch._marks].count("backward") == 2


def test_counting_operations_moves_no_weight():
    task = new_task()
    before = [p.detach().clone() for p in task.network.parameters()]
    step_of(task).both_passes(next(batches()))
    for weight, old in zip(task.network.parameters(), before, strict=True):
        assert torch.equal(weight, old)
        assert weight.grad is None
