"""The graph of structures and the voxels that ask it, against loops over nodes and tokens."""

import math

import pytest
import torch
from torch import Tensor, nn

from delineate.labels import Class, Labels
from delineate.models.vit_gnn_graph import Messages, NucleiGraph, read_anatomy
from delineate.models.vit_gnn_head import Ask

STEM = Labels(
    classes=(
        Class(name="stem"),
        Class(name="mid", parent="stem"),
        Class(name="red_left", id=9, parent="mid"),
        Class(name="red_right", id=4, parent="mid"),
        Class(name="pons", id=7, parent="stem"),
        Class(name="locus", id=5, parent="pons"),
    ),
    pairs=(("red_left", "red_right"),),
)
# 0 background, 1 stem, 2 mid, 3 red_left, 4 red_right, 5 pons, 6 locus


def lively(network: nn.Module) -> nn.Module:
    torch.manual_seed(1)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network


def test_neighbours_are_parents_children_siblings_and_the_other_side():
    anatomy = read_anatomy(STEM, 5)
    assert anatomy.neighbours == ((1,), (0, 2, 5), (1, 3, 4, 5), (2, 4), (2, 3), (1, 2, 6), (5,))
    assert anatomy.channels == (0, 3, 4, 5, 6)


def test_left_and_right_are_neighbours_wherever_they_stand():
    labels = Labels(
        classes=(
            *(Class(name=f"half_{side}") for side in "ab"),
            Class(name="one", id=1, parent="half_a"),
            Class(name="other", id=2, parent="half_b"),
        ),
        pairs=(("one", "other"),),
    )
    anatomy = read_anatomy(labels, 3)
    assert anatomy.neighbours[3] == (1, 4)
    assert anatomy.neighbours[4] == (2, 3)


def test_overlapping_masks_have_no_background():
    labels = Labels.from_names({"a": 1, "b": 2}, overlapping=True)
    assert read_anatomy(labels, 2) == read_anatomy(None, 2)
    assert read_anatomy(labels, 2).neighbours == ((1,), (0,))


def test_without_labels_there_is_a_node_for_each_output():
    anatomy = read_anatomy(None, 3)
    assert anatomy.neighbours == ((1, 2), (0, 2), (0, 1))
    assert anatomy.channels == (0, 1, 2)


def test_hundreds_of_structures_are_as_many_nodes():
    labels = Labels.from_names({f"roi_{i}": i for i in range(1, 334)})
    graph = NucleiGraph(4, read_anatomy(labels, 334), layers=1, dropout=0.0)
    assert graph(torch.randn(1, 5, 4)).shape == (1, 334, 4)


def by_hand(graph: NucleiGraph, neighbours, tokens: Tensor) -> Tensor:
    """The nodes of one case, a node and a token at a time."""
    keys = tokens @ graph.key.weight.T
    scale = math.sqrt(graph.nodes.shape[1])
    belongs = torch.stack(
        [
            torch.stack([(key * node).sum() / scale for node in graph.nodes]).softmax(0)
            for key in keys
        ]
    )
    nodes = []
    for m, start in enumerate(graph.nodes):
        gathered = sum(a * graph.value(t) for a, t in zip(belongs[:, m], tokens, strict=True))
        nodes.append(start + gathered / belongs[:, m].sum())
    for layer in graph.layers:
        assert isinstance(layer, Messages)
        heard = []
        for m, node in enumerate(nodes):
            others = [nodes[j] for j in neighbours[m]]
            mean = torch.stack(others).mean(0) if others else torch.zeros_like(node)
            sent = (layer.own(node) + layer.others(mean)).relu()
            heard.append(layer.norm(node + sent))
        nodes = heard
    return torch.stack(nodes)


@pytest.mark.parametrize("labels", [STEM, Labels.from_names({"a": 1}, overlapping=True)])
def test_nodes_gather_their_tokens_and_hear_their_neighbours(labels):
    anatomy = read_anatomy(labels, labels.channels)
    graph = lively(NucleiGraph(6, anatomy, layers=2, dropout=0.0)).double()
    tokens = torch.randn(2, 7, 6).double()
    with torch.no_grad():
        expected = torch.stack([by_hand(graph, anatomy.neighbours, case) for case in tokens])
        torch.testing.assert_close(graph(tokens), expected)


def test_every_token_belongs_to_nodes_by_shares_that_sum_to_one():
    graph = lively(NucleiGraph(6, read_anatomy(STEM, 5), layers=1, dropout=0.0))
    shares = graph.assign(torch.randn(2, 9, 6))
    assert shares.shape == (2, 9, 7)
    torch.testing.assert_close(shares.sum(-1), torch.ones(2, 9))


def test_what_a_token_says_reaches_as_many_steps_along_the_hierarchy_as_there_are_layers():
    anatomy = read_anatomy(STEM, 5)
    for layers, reached in ((1, {5, 6}), (2, {1, 2, 5, 6}), (3, {0, 1, 2, 3, 4, 5, 6})):
        graph = lively(NucleiGraph(6, anatomy, layers=layers, dropout=0.0)).double()
        nodes = graph.nodes.detach().clone()
        changed = nodes.clone()
        changed[6] += 1
        after = []
        for start in (nodes, changed):
            x = start[None]
            for layer in graph.layers:
                x = layer(x, graph.shares)
            after.append(x[0])
        differ = (after[0] - after[1]).abs().amax(1) > 0
        assert {i for i, d in enumerate(differ.tolist()) if d} == reached


@pytest.mark.parametrize("space", [(2, 3, 2), (3, 4)])
def test_voxels_ask_all_nodes_and_are_scored_with_their_own(space):
    ask = lively(Ask(8, 3, node_width=5)).double()
    x, nodes = torch.randn(2, 8, *space).double(), torch.randn(2, 4, 5).double()
    channels = torch.tensor([0, 3, 1])
    with torch.no_grad():
        found = ask(x, nodes, channels)
        key, value = ask.key_value(nodes).chunk(2, -1)
        for b in range(2):
            for place in [(0,) * len(space), tuple(n - 1 for n in space)]:
                voxel = x[(b, slice(None), *place)]
                scores = key[b] @ ask.query(voxel) / math.sqrt(8)
                heard = scores.softmax(0) @ value[b]
                expected = ask.reading.classes(voxel + heard) + scores[channels]
                torch.testing.assert_close(found[(b, slice(None), *place)], expected)


def test_the_node_of_a_structure_moves_the_logit_of_that_structure():
    ask = lively(Ask(8, 2, node_width=5)).double()
    nodes = torch.randn(1, 3, 5).double().requires_grad_()
    with torch.no_grad():
        ask.key_value.weight[8:] = 0  # what is heard; the scores are left
    logits = ask(torch.randn(1, 8, 2, 2).double(), nodes, torch.tensor([0, 2]))
    (grad,) = torch.autograd.grad(logits[:, 1].sum(), nodes)
    assert grad[0, :2].abs().max() == 0
    assert grad[0, 2].abs().max() > 0
