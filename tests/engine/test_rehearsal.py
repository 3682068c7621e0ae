"""What does not go together is said before the first step, and nothing has moved by then."""

import copy

import pytest
import torch
from torch import nn

from delineate.augment import CutMix, Sequence
from delineate.contracts import Batch, Target
from delineate.engine.clock import Clock
from delineate.engine.rehearsal import rehearse
from delineate.engine.schedules import Constant
from delineate.engine.task import Task
from delineate.errors import ConfigError
from delineate.losses import Dice, Presence, WeightedSum
from delineate.models import ResNet, UNet

TOPOLOGY = {"strides": [(1, 1), (2, 2)], "kernels": [(3, 3)] * 2, "convolutions": [1, 1]}


def task(network: nn.Module | None = None, term=None, transforms=()) -> Task:
    network = network or UNet(1, 3, features=[2, 4], deep_supervision=True, **TOPOLOGY)
    return Task(
        network,
        WeightedSum({"term": term or Dice()}, {"term": 1.0}),
        augment=Sequence(list(transforms), patch=(8, 8)),
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        schedule=Constant(),
        clock=Clock(steps=1),
    )


def batch(samples: int = 2) -> Batch:
    return Batch(
        image=torch.zeros(samples, 1, 8, 8),
        target=Target(mask=torch.zeros(samples, 8, 8, dtype=torch.int64)),
        spacing=(1.0, 1.0),
        cases=("a", "b")[:samples],
        step=0,
    )


def test_parts_that_go_together_pass_and_nothing_moves():
    whole = task()
    before = copy.deepcopy(whole.network.state_dict())
    chance = torch.get_rng_state()
    rehearse(whole, batch())
    assert all(torch.equal(before[k], v) for k, v in whole.network.state_dict().items())
    assert torch.equal(chance, torch.get_rng_state())


def test_a_loss_that_asks_for_what_the_network_does_not_say_is_refused():
    with pytest.raises(ConfigError, match=r"do not go together: Presence: output\.presence is Non"):
        rehearse(task(term=Presence()), batch())


def test_a_network_without_masks_is_refused():
    network = ResNet(1, 3, spatial_dims=2, depth=18, stem="small")
    with pytest.raises(ConfigError, match="ResNet answers with classes of the whole image"):
        rehearse(task(network, Presence()), batch())


def test_logits_of_another_size_than_the_image_are_refused():
    with pytest.raises(ConfigError, match="do not go together: "):
        rehearse(task(nn.Conv2d(1, 3, 3)), batch())


def test_a_transform_that_needs_another_sample_is_refused_in_a_batch_of_one():
    with pytest.raises(ConfigError, match="CutMix: a batch of one has no other sample"):
        rehearse(task(transforms=[CutMix(probability=1.0)]), batch(1))


def test_a_network_that_cannot_do_without_values_is_left_to_the_first_step():
    class Reading(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Conv2d(1, 3, 1)

        def forward(self, image):
            return self.inner(image) if image.sum().item() >= 0 else image

    rehearse(task(Reading()), batch())
