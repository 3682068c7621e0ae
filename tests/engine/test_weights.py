import json

import pytest
import torch
from torch import nn

from delineate.engine.weights import Average, load_weights, save_weights
from delineate.errors import DataError


def test_weights_come_back_to_the_bit_with_their_facts(tmp_path):
    path = tmp_path / "checkpoints" / "best.safetensors"
    network, other = nn.Linear(3, 2), nn.Linear(3, 2)
    save_weights(path, network.state_dict(), {"val_dice": 0.5})
    load_weights(other, path)
    assert torch.equal(network.weight, other.weight)
    assert json.loads(path.with_suffix(".json").read_text()) == {"val_dice": 0.5}


def test_tied_weights_can_be_saved(tmp_path):
    network = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    network[1].weight = network[0].weight
    save_weights(tmp_path / "tied.safetensors", network.state_dict(), {})
    load_weights(network, tmp_path / "tied.safetensors")
    assert network[1].weight is network[0].weight


def test_weights_of_another_network_are_refused_by_name(tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(path, nn.Linear(3, 2).state_dict(), {})
    with pytest.raises(
        DataError, match=r"0 missing, 0 unknown, 1 of another shape \(first: weight\)"
    ):
        load_weights(nn.Linear(4, 2), path)
    with pytest.raises(DataError, match="2 missing, 2 unknown"):
        load_weights(nn.Sequential(nn.Linear(3, 2)), path)


def test_a_broken_file_is_an_error_and_not_a_traceback(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"not weights at all")
    with pytest.raises(DataError, match="not a readable safetensors file"):
        load_weights(nn.Linear(1, 1), path)


def test_the_average_follows_the_closed_form():
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 0.0)
    average = Average(network, decay=0.9)
    nn.init.constant_(network.weight, 1.0)
    expected = 0.0
    for step in range(1, 200):
        average.update(network)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay)
    assert average.network.weight.item() == pytest.approx(expected, rel=1e-5)


def test_the_average_keeps_up_with_running_statistics():
    network = nn.BatchNorm1d(2)
    average = Average(network, decay=0.9)
    network(torch.randn(8, 2))
    average.update(network)
    assert torch.equal(average.network.running_mean, network.running_mean)
    assert average.network.num_batches_tracked == 1
