"""A network of one convolution whose batches turn bad at chosen steps."""

import copy
import logging
from itertools import count
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from delineate.augment import Sequence
from delineate.contracts import Batch, Target
from delineate.engine.callbacks import Progress
from delineate.engine.clock import Clock
from delineate.engine.fit import fit
from delineate.engine.recovery import SCALER_PATIENCE, Divergence
from delineate.engine.schedules import Constant
from delineate.engine.task import Task
from delineate.engine.weights import Average
from delineate.errors import DataError
from delineate.losses import CrossEntropy, WeightedSum
from delineate.tracking.csv_table import CsvTable


def batches(bad):
    for step in count():
        image = torch.randn(2, 1, 6, 6, generator=torch.Generator().manual_seed(step))
        mask = (image[:, 0] > 0.5).long()
        if step in bad:
            image = image * float("nan")
        cases = (f"case_{step}", "case_x")
        yield Batch(
            image=image, target=Target(mask=mask), spacing=(1.0, 1.0), cases=cases, step=step
        )


def make_network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2))


def run(tmp_path, divergence, *, bad=(), steps=12):
    """The task after training, with the weights and rates of each step."""
    network = make_network()
    seen = []

    class Watch(Progress):
        def on_train_batch_end(self, trainer, task, outputs, batch, batch_idx):
            super().on_train_batch_end(trainer, task, outputs, batch, batch_idx)
            rate = task.optimizer.param_groups[0]["lr"]
            seen.append((rate, {k: v.clone() for k, v in network.state_dict().items()}))

    task = Task(
        network,
        WeightedSum({"ce": CrossEntropy()}, {"ce": 1.0}),
        augment=Sequence([], patch=(6, 6)),
        optimizer=torch.optim.AdamW(network.parameters(), lr=0.1),
        schedule=Constant(),
        clock=Clock(steps=steps),
    )
    fit(
        task,
        batches(set(bad)),
        device="cpu",
        precision="fp32",
        callbacks=[Watch(lambda progress, text: None), divergence],
        loggers=[CsvTable(tmp_path / "metrics.csv", ["loss"])],
        clip=1.0,
        accumulate=1,
    )
    return task, seen


def clone(part):
    return copy.deepcopy(part.state_dict())


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


WEIGHTS = ("0.weight", "0.bias", "1.weight", "1.bias")


def test_a_sound_training_is_left_alone_to_the_bit(tmp_path):
    _, with_it = run(tmp_path, Divergence(every=3))
    _, off = run(tmp_path, Divergence(every=1000))
    assert all(same(a[1], b[1]) and a[0] == b[0] == 0.1 for a, b in zip(with_it, off, strict=True))


def test_a_single_bad_batch_is_skipped_and_its_cases_are_named(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="delineate"):
        task, seen = run(tmp_path, Divergence(), bad=[5])
    (before, after) = seen[4][1], seen[5][1]
    assert all(torch.equal(before[name], after[name]) for name in WEIGHTS)
    assert task.clock.step == 12
    assert all(v.isfinite().all() for v in seen[-1][1].values())
    assert caplog.messages == [
        "step 6: the gradient is not finite; the step is skipped (cases case_5, case_x)"
    ]
    assert seen[-1][0] == 0.1


def test_a_second_bad_step_goes_back_to_the_bit_and_lowers_the_rate(tmp_path, caplog):
    divergence = Divergence(every=4)
    with caplog.at_level(logging.WARNING, logger="delineate"):
        _, seen = run(tmp_path, divergence, bad=[9, 10])
    # Copies are of the weights after the steps 4 and 8; the older of them is the sound one.
    sound, after = seen[3][1], seen[10][1]
    assert same(sound, after)
    assert [round(rate, 6) for rate, _ in seen] == 11 * [0.1] + [0.05]
    assert not same(after, seen[11][1])
    assert caplog.messages[-1] == (
        "step 11: the gradient is not finite again; back to the last sound weights, "
        "with 0.5 times the rate from here (1 of 4)"
    )
    assert divergence.times == 1


def test_the_optimiser_and_the_average_go_back_with_the_weights():
    network = make_network()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
    average = Average(network, 0.9)
    task = SimpleNamespace(network=network, optimizer=optimizer, clock=Clock(steps=100))
    trainer = SimpleNamespace(precision_plugin=None)
    divergence = Divergence(lambda: [average], every=2, patience=1)
    divergence.on_train_start(trainer, task)
    states = []
    for step, batch in zip(range(7), batches({6}), strict=False):
        divergence.on_train_batch_start(trainer, task, batch, step)
        states.append((clone(network), clone(optimizer), clone(average)))
        network.zero_grad()
        network(batch.image).square().mean().backward()
        divergence.on_before_optimizer_step(trainer, task, optimizer)
        optimizer.step()
        average.update(network)
        task.clock.step = step + 1
        optimizer.param_groups[0]["lr"] = 0.1
    # Copies are of before the batches 4 and 6; the average has then followed what came back.
    weights, moments, averaged = states[4]
    assert same(weights, network.state_dict())
    for one, other in zip(
        moments["state"].values(), optimizer.state_dict()["state"].values(), strict=True
    ):
        assert same(one, other)
    assert average.steps == averaged["steps"] + 1


def test_going_back_twice_to_one_copy_finds_it_untouched(tmp_path):
    divergence = Divergence(every=100)
    _, seen = run(tmp_path, divergence, bad=[3, 4, 8, 9])
    assert divergence.times == 2
    assert same(seen[4][1], seen[9][1])
    assert not same(seen[4][1], seen[7][1])


def test_after_the_limit_it_ends_with_what_was_tried(tmp_path):
    with pytest.raises(DataError) as error:
        run(tmp_path, Divergence(limit=2), bad=range(3, 20), steps=20)
    assert str(error.value) == (
        "step 9: training diverges. It went back to sound weights 2 times, the last time with "
        "0.25 times the rate, and the gradient still is not finite. The last cases were case_8, "
        "case_x. Fix: a lower optimizer.lr, train.clip: 1, train.precision: fp32; if it is always "
        "these cases, look at them with delineate doctor."
    )


def test_a_loss_scaler_may_look_for_its_scale_but_not_for_ever():
    network = make_network()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    task = SimpleNamespace(network=network, optimizer=optimizer, clock=Clock(steps=100))
    trainer = SimpleNamespace(precision_plugin=SimpleNamespace(scaler=object()))
    divergence = Divergence()
    divergence.on_train_start(trainer, task)
    batch = next(batches(()))
    for step in range(SCALER_PATIENCE):
        assert divergence.times == 0
        divergence.on_train_batch_start(trainer, task, batch, step)
        for weight in network.parameters():
            weight.grad = torch.full_like(weight, float("inf"))
        divergence.on_before_optimizer_step(trainer, task, optimizer)
    assert divergence.times == 1


def test_the_lowered_rate_is_part_of_the_state(tmp_path):
    first, second = Divergence(), Divergence()
    first.times = 2
    second.load_state_dict(first.state_dict())
    _, seen = run(tmp_path, second, steps=2)
    assert [rate for rate, _ in seen] == pytest.approx([0.025, 0.025])
