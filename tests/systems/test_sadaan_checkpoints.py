from pathlib import Path

import pytest
import torch
from torch import nn

from delineate.engine.optim import parameter_groups
from delineate.engine.plain_optimizer import as_one_group
from delineate.errors import DataError
from delineate.systems.sadaan.checkpoints import _from_one_group, read_checkpoint
from delineate.systems.sadaan.diary import Epochs


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv1d(1, 3, 3), nn.BatchNorm1d(3), nn.Conv1d(3, 2, 1))


def optimizer(net: nn.Module) -> torch.optim.Optimizer:
    """As the engine makes it: kernels decay, biases and gains do not."""
    return torch.optim.AdamW(parameter_groups(net, 0.01, lr=1e-2), lr=1e-2)


def step(net: nn.Module, optim: torch.optim.Optimizer, times: int = 1) -> None:
    image = torch.linspace(-1, 1, 16).view(2, 1, 8)
    for _ in range(times):
        optim.zero_grad()
        net(image).square().mean().backward()
        optim.step()


def test_a_plain_optimiser_of_all_weights_loads_the_state():
    net = network()
    ours = optimizer(net)
    assert len(ours.param_groups) == 2
    step(net, ours, 3)
    plain = torch.optim.AdamW(net.parameters())
    plain.load_state_dict(as_one_group(ours, net))
    for weight in net.parameters():
        assert torch.equal(plain.state[weight]["exp_avg"], ours.state[weight]["exp_avg"])
    assert plain.param_groups[0]["weight_decay"] == 0.01


def test_the_state_of_one_group_goes_on_as_if_nothing_had_been():
    net = network()
    ours = optimizer(net)
    step(net, ours, 3)
    weights, state = {k: v.clone() for k, v in net.state_dict().items()}, as_one_group(ours, net)
    step(net, ours)
    other = network(1)
    other.load_state_dict(weights)
    again = optimizer(other)
    _from_one_group(again, other, state)
    step(other, again)
    for one, two in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


def test_moments_of_other_shapes_are_refused():
    net, other = network(), nn.Sequential(nn.Conv1d(1, 3, 5), nn.BatchNorm1d(3), nn.Conv1d(3, 2, 1))
    ours = optimizer(net)
    step(net, ours)
    with pytest.raises(ValueError, match=r"its moments have the shape \(3, 1, 3\)"):
        _from_one_group(optimizer(other), other, as_one_group(ours, net))


def test_a_file_that_is_no_checkpoint_is_said_to_be_none(tmp_path: Path):
    with pytest.raises(DataError, match=r"no such file. Fix: give a best_model.pth or"):
        read_checkpoint(tmp_path / "none.pth")
    (tmp_path / "text.pth").write_text("no checkpoint")
    with pytest.raises(DataError, match=r"not a readable checkpoint"):
        read_checkpoint(tmp_path / "text.pth")
    torch.save({"model_state_dict": {}}, tmp_path / "part.pth")
    with pytest.raises(DataError, match=r"has no 'epoch'"):
        read_checkpoint(tmp_path / "part.pth")


@pytest.mark.parametrize(
    ("per_epoch", "number", "done"),
    [(2.0, 3, [0, 0, 1, 1, 2, 2, 3]), (1.25, 2, [0, 0, 1, 2]), (0.5, 5, [0, 2, 4, 5])],
)
def test_epochs_are_told_from_steps_whether_or_not_these_divide_them(per_epoch, number, done):
    epochs = Epochs(number, per_epoch)
    assert [epochs.done(step) for step in range(len(done))] == done
