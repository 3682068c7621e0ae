import pytest
import torch
from torch import nn

from delineate.engine.muon import Muon
from delineate.engine.optim import parameter_groups
from delineate.errors import ConfigError


def small_network():
    return nn.ModuleDict(
        {
            "encoder": nn.ModuleList([nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)]),
            "encoder2": nn.Conv2d(4, 4, 3),
            "heads": nn.Conv2d(4, 2, 1),
        }
    )


def test_kernels_decay_and_vectors_do_not():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    kernels, vectors = parameter_groups(network, 0.1)
    assert [p.ndim for p in kernels["params"]] == [4]
    assert [p.ndim for p in vectors["params"]] == [1, 1, 1]
    assert (kernels["weight_decay"], vectors["weight_decay"]) == (0.1, 0.0)


def test_frozen_weights_are_left_out():
    network = nn.Linear(2, 2)
    network.weight.requires_grad_(False)
    (vectors,) = parameter_groups(network, 0.1)
    assert vectors["params"] == [network.bias]


def test_the_longest_beginning_of_a_name_decides_the_rate():
    network = small_network()
    rates = {"encoder": 0.1, "encoder.1": 0.5}
    groups = parameter_groups(network, 0.1, lr=1.0, rates=rates)
    rate_of = {id(p): group["lr"] for group in groups for p in group["params"]}
    found = {name: rate_of[id(p)] for name, p in network.named_parameters()}
    assert {name: rate for name, rate in found.items() if rate != 1.0} == {
        "encoder.0.weight": 0.1,
        "encoder.0.bias": 0.1,
        "encoder.1.weight": 0.5,
        "encoder.1.bias": 0.5,
    }


def test_without_a_decay_the_optimiser_decides():
    (group,) = parameter_groups(small_network(), None)
    assert group.keys() == {"params"}


def test_an_unknown_beginning_says_what_there_is():
    with pytest.raises(ConfigError) as error:
        parameter_groups(small_network(), 0.1, lr=1.0, rates={"encodr": 0.1})
    assert str(error.value) == (
        "rates: no weight's name begins with 'encodr'. Did you mean 'encoder'? "
        "The network has: encoder, encoder2, heads."
    )


def test_rates_without_a_rate_to_scale_are_refused():
    with pytest.raises(ValueError, match="factors on lr, which is missing"):
        parameter_groups(small_network(), 0.1, rates={"encoder": 0.1})


@pytest.mark.parametrize(
    "make",
    [
        torch.optim.AdamW,
        torch.optim.Adam,
        torch.optim.RAdam,
        torch.optim.NAdam,
        torch.optim.RMSprop,
        torch.optim.Adagrad,
        lambda params, lr: torch.optim.SGD(params, lr=lr, momentum=0.99, nesterov=True),
        Muon,
    ],
)
def test_any_optimiser_takes_the_groups_and_a_rate_of_zero_stands_still(make):
    torch.manual_seed(0)
    network = small_network()
    optimizer = make(parameter_groups(network, 0.1, lr=0.1, rates={"heads": 0.0}), lr=0.1)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    for weight in network.parameters():
        weight.grad = torch.randn_like(weight)
    optimizer.step()
    still = {n for n, p in network.named_parameters() if torch.equal(p, before[n])}
    assert still == {"heads.weight", "heads.bias"}
