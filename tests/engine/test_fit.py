"""The loop on a network of one convolution and batches made on the spot."""

import csv
import json
import time
from itertools import count

import pytest
import torch
from torch import nn

from delineate.augment import Sequence
from delineate.contracts import Batch, Target
from delineate.engine.callbacks import Figures, Progress, Validation
from delineate.engine.clock import Clock
from delineate.engine.fit import fit
from delineate.engine.memory_use import MEMORY_COLUMNS
from delineate.engine.optim import parameter_groups
from delineate.engine.schedules import Constant
from delineate.engine.task import Task
from delineate.losses import CrossEntropy, Dice, WeightedSum
from delineate.tracking.csv_table import CsvTable

FIGURES = ["progress", "seconds", "lr", "loss", "loss/dice", "loss/ce", "val_dice"]
COLUMNS = [*FIGURES, *MEMORY_COLUMNS]


def batches():
    """Bright voxels are class 1; without end."""
    for step in count():
        image = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(step))
        mask = (image[:, 0] > 0.5).long()
        yield Batch(
            image=image, target=Target(mask=mask), spacing=(1.0, 1.0), cases=("a", "b"), step=step
        )


def run(tmp_path, clock, *, score=None, accumulate=1, times=2, average=0.0):
    torch.manual_seed(0)
    network = nn.Conv2d(1, 2, 1)
    optimizer = torch.optim.AdamW(parameter_groups(network, 0.0), lr=0.1)
    loss = WeightedSum({"dice": Dice(), "ce": CrossEntropy()}, {"dice": 1.0, "ce": 1.0})
    task = Task(
        network,
        loss,
        augment=Sequence([], patch=(8, 8)),
        optimizer=optimizer,
        schedule=Constant(),
        clock=clock,
    )
    keep = tmp_path / "best.safetensors"
    scored = score or (lambda network: {"val_dice": 0.5})
    fit(
        task,
        batches(),
        device="cpu",
        precision="fp32",
        callbacks=[
            Progress(lambda progress, text: None),
            Validation(scored, keep=keep, times=times, average=average),
            Figures(every=2),
        ],
        loggers=[CsvTable(tmp_path / "metrics.csv", COLUMNS)],
        clip=12.0,
        accumulate=accumulate,
    )
    with (tmp_path / "metrics.csv").open() as file:
        return task, list(csv.DictReader(file))


def test_a_budget_of_steps_ends_at_the_step_and_the_loss_falls(tmp_path):
    task, rows = run(tmp_path, Clock(steps=40))
    assert task.clock.step == 40
    losses = [float(row["loss"]) for row in rows if row["loss"]]
    assert losses[-1] < 0.7 * losses[0]


def test_a_budget_of_seconds_ends_in_time(tmp_path):
    task, _ = run(tmp_path, Clock(seconds=1.5))
    assert task.clock.done
    assert task.clock.step > 1


def test_a_last_validation_quicker_than_the_first_does_not_set_the_clock_back(tmp_path):
    seconds = iter([0.3, 0.0, 0.0, 0.0, 0.0])

    def score(network):
        time.sleep(next(seconds))
        return {"val_dice": 0.5}

    task, _ = run(tmp_path, Clock(seconds=1.2, reserve=0.3), score=score)
    assert task.clock.done


def test_the_logged_terms_add_up_to_the_loss(tmp_path):
    _, rows = run(tmp_path, Clock(steps=4))
    for row in (row for row in rows if row["loss"]):
        terms = float(row["loss/dice"]) + float(row["loss/ce"])
        assert float(row["loss"]) == pytest.approx(terms, abs=1e-5)


def test_accumulated_batches_make_one_step(tmp_path):
    task, _ = run(tmp_path, Clock(steps=3), accumulate=4)
    assert task.clock.step == 3


def test_the_weights_with_the_best_score_are_kept_and_the_end_is_always_scored(tmp_path):
    scores = iter([0.2, 0.9, 0.4, 0.3])
    seen = []

    def score(network):
        seen.append(network.weight.detach().clone())
        return {"val_dice": next(scores)}

    _, rows = run(tmp_path, Clock(steps=8), score=score, times=4)
    kept = json.loads((tmp_path / "best.json").read_text())
    assert [row["step"] for row in rows if row["val_dice"]][-1] == "8"
    assert kept["val_dice"] == 0.9
    best = nn.Conv2d(1, 2, 1)
    from delineate.engine.weights import load_weights

    load_weights(best, tmp_path / "best.safetensors")
    assert torch.equal(best.weight, seen[1])


def test_with_an_average_it_is_the_average_that_is_scored(tmp_path):
    seen = []

    def score(network):
        seen.append(network)
        return {"val_dice": 0.5}

    task, _ = run(tmp_path, Clock(steps=4), score=score, average=0.9)
    assert all(network is not task.network for network in seen)
