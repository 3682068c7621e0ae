from itertools import pairwise

import torch
from torch import nn

from delineate.engine.weight_matching import match_names, match_order


def state(**shapes: tuple[int, ...]) -> dict[str, torch.Tensor]:
    return {name.replace("__", "."): torch.randn(shape) for name, shape in shapes.items()}


def test_a_beginning_on_either_side_does_not_matter():
    inner = state(conv1__weight=(4, 1, 3, 3), layer1__weight=(4, 4, 3, 3))
    pairs = {"encoder." + name: "net.body." + name for name in inner}
    own = {"encoder." + name: tensor for name, tensor in inner.items()} | state(head=(2, 4))
    source = {"net.body." + name: tensor for name, tensor in inner.items()} | state(loss=(3,))
    assert match_names(own, source) == pairs


def test_the_reading_that_fits_most_numbers_wins():
    own = state(a__weight=(8, 8), b__weight=(2, 2))
    source = state(x__b__weight=(8, 8), a__weight=(8, 8), b__weight=(2, 2))
    assert match_names(own, source) == {"a.weight": "a.weight", "b.weight": "b.weight"}


def test_names_that_say_nothing_match_nothing():
    assert match_names(state(a__weight=(2, 2)), state(q__kernel=(2, 2))) == {}


def plain(*widths: int) -> nn.Sequential:
    return nn.Sequential(
        *(
            nn.Sequential(nn.Conv2d(i, o, 3), nn.BatchNorm2d(o), nn.ReLU())
            for i, o in pairwise(widths)
        )
    )


def renamed(network: nn.Module) -> dict[str, torch.Tensor]:
    return {f"q{name}": tensor for name, tensor in network.state_dict().items()}


def test_weights_of_other_names_are_counted_off():
    source = renamed(plain(1, 4, 8, 2))
    own = plain(1, 4, 8, 2).state_dict()
    assert match_order(own, source) == {name: f"q{name}" for name in own}


def test_the_first_inputs_and_the_last_outputs_may_differ():
    own = {name: t for name, t in plain(3, 4, 8, 5).state_dict().items() if "2." not in name[:2]}
    source = {n: t for n, t in renamed(plain(1, 4, 8, 2)).items() if not n.startswith("q2.1")}
    assert match_order(plain(3, 4, 8, 2).state_dict(), renamed(plain(1, 4, 8, 2)))
    assert not match_order(own, source), "another number of kernels"


def test_another_width_or_another_number_is_ambiguous_and_matches_nothing():
    own = plain(1, 4, 8, 2).state_dict()
    assert match_order(own, renamed(plain(1, 4, 6, 2))) == {}
    assert match_order(own, renamed(plain(1, 4, 8, 8, 2))) == {}


def test_a_tensor_under_two_names_is_counted_once():
    source = renamed(plain(1, 4, 2))
    source |= {f"alias.{name}": tensor for name, tensor in source.items()}
    own = plain(1, 4, 2).state_dict()
    assert match_order(own, source) == {name: f"q{name}" for name in own}


def test_norms_and_biases_alone_are_no_match():
    assert match_order(state(a__bias=(3,)), state(b__bias=(3,))) == {}
