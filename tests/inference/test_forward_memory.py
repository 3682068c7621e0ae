import sys

import pytest
import torch
from torch import nn

from delineate.inference.forward_memory import count_window, measure_window

CPU = torch.device("cpu")


def test_the_tensors_of_a_prediction_are_counted_without_doing_it():
    network = nn.Sequential(nn.Conv3d(1, 4, 1), nn.ReLU(), nn.Conv3d(4, 2, 1))
    # At the peak the first convolution's result lies beside input and ReLU, or ReLU and scores.
    assert count_window(network, (1, 1, 8, 8, 8)) == 4 * 8**3 * (1 + 4 + 4)


def test_what_cannot_be_counted_is_none():
    class Looks(nn.Module):
        def forward(self, x):
            return x if x.sum().item() > 0 else -x

    assert count_window(Looks(), (1, 1, 4, 4)) is None
    assert count_window(lambda x: x, (1, 1, 4, 4)) is None


def test_counting_leaves_the_network_as_it_is():
    network = nn.Sequential(nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4)).eval()
    before = {name: t.clone() for name, t in network.state_dict().items()}
    count_window(network, (1, 1, 4, 4))
    after = network.state_dict()
    assert all(torch.equal(after[name], t) for name, t in before.items())


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say what is held")
def test_a_prediction_is_measured_while_it_is_done():
    found = measure_window(lambda x: torch.ones(40_000_000).sum(), (1, 1, 4, 4), CPU)
    assert 150e6 < found < 250e6
