"""Groups against a brute-force search, and attention in them against dense attention with ids."""

from itertools import product
from math import ceil, prod

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from delineate.models.dformer import Stage
from delineate.models.dformer_attention import Block, make_groups, moved

CPU = torch.device("cpu")
GRIDS = [(4, 16, 16), (3, 9, 13), (1, 8, 20), (5, 12, 3), (2, 4, 9), (9, 5), (8, 16)]


def sizes_for(grid) -> tuple[int, ...]:
    return (2, 4, 4)[-len(grid) :]


def group_ids(grid, group, *, dilated: bool) -> torch.Tensor:
    """A number for each token, token by token: equal ones attend to each other."""
    if grid[-2] < group[-2]:
        return torch.zeros(prod(grid), dtype=torch.long)
    ids = {}
    found = []
    for token in product(*map(range, grid)):
        if dilated:
            key = tuple(t % ceil(n / g) for t, n, g in zip(token, grid, group, strict=True))
        else:
            key = tuple(t // g for t, g in zip(token, group, strict=True))
        found.append(ids.setdefault(key, len(ids)))
    return torch.tensor(found)


@pytest.mark.parametrize("dilated", [False, True])
@pytest.mark.parametrize("grid", GRIDS)
def test_groups_are_those_of_a_search_token_by_token(grid, dilated):
    group = sizes_for(grid)
    groups = make_groups(grid, group, dilated=dilated, device=CPU)
    tokens = torch.arange(prod(grid))
    assert torch.equal(groups.order.sort().values, tokens)
    assert torch.equal(groups.order[groups.place], tokens)
    ids = group_ids(grid, group, dilated=dilated)
    start, met = 0, set()
    for count, length in groups.runs:
        for _ in range(count):
            members = ids[groups.order[start : start + length]]
            assert (members == members[0]).all()
            met.add(int(members[0]))
            start += length
    assert start == prod(grid)
    assert len(met) == int(ids.max()) + 1 == sum(count for count, _ in groups.runs)


@pytest.mark.parametrize("grid", GRIDS)
def test_no_group_is_larger_than_asked_for_unless_it_is_the_only_one(grid):
    group = sizes_for(grid)
    for dilated in (False, True):
        runs = make_groups(grid, group, dilated=dilated, device=CPU).runs
        assert sum(count for count, _ in runs) == 1 or all(n <= prod(group) for _, n in runs)


def dense(block: Block, x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """The block with attention among all tokens, masked where ids differ."""
    attention = block.attention
    cases, tokens, width = x.shape
    y = block.norm1(x)
    q, k, v = attention.qkv(y).view(cases, tokens, 3, attention.heads, -1).permute(2, 0, 3, 1, 4)
    scores = q @ k.mT / q.shape[-1] ** 0.5
    scores = scores.masked_fill(ids[:, None] != ids, -torch.inf).softmax(-1)
    mixed = (scores @ v).transpose(1, 2).reshape(cases, tokens, width)
    x = x + attention.proj(mixed)
    return x + block.mlp(block.norm2(x))


@pytest.mark.parametrize("grid", GRIDS)
def test_a_stage_is_dense_attention_masked_by_groups(grid):
    torch.manual_seed(0)
    group = sizes_for(grid)
    blocks = [Block(8, 2, ratio=2, drop_path=0.0) for _ in range(3)]
    stage = Stage(8, blocks, group, checkpointing=False).double()
    for parameter in stage.parameters():
        nn.init.normal_(parameter, std=0.5)
    x = torch.randn(2, *grid, 8).double().requires_grad_()
    found = stage(x)
    conv = F.conv2d if len(grid) == 2 else F.conv3d
    image = x.movedim(-1, 1)
    y = image + conv(image, stage.position.weight, stage.position.bias, padding=1, groups=8)
    y = y.movedim(1, -1)
    y = y.flatten(1, -2)
    for i, block in enumerate(blocks):
        y = dense(block, y, group_ids(grid, group, dilated=i % 2 == 1))
    torch.testing.assert_close(found, y.view(x.shape))
    weights = (x, *stage.parameters())
    pull = torch.randn_like(found)
    mine = torch.autograd.grad(found, weights, pull)
    theirs = torch.autograd.grad(y.view(x.shape), weights, pull)
    torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("dilated", [False, True])
def test_tokens_come_back_to_where_they_were(dilated):
    groups = make_groups((3, 9, 13), (2, 4, 4), dilated=dilated, device=CPU)
    x = torch.randn(2, 3 * 9 * 13, 5, requires_grad=True)
    there = moved(x, None, groups)
    torch.testing.assert_close(there, x[:, groups.order])
    back = moved(there, groups, None)
    assert torch.equal(back, x)
    pull = torch.randn_like(x)
    (grad,) = torch.autograd.grad(there, x, pull)
    assert torch.equal(grad, pull[:, groups.place])


def test_dropped_branches_keep_the_mean_and_leave_evaluation_alone():
    torch.manual_seed(0)
    block = Block(4, 1, ratio=2, drop_path=0.25)
    x = torch.randn(4000, 1, 4)
    runs = ((1, 1),)
    expected = block.eval()(x, runs)
    kept = block.train()._kept(torch.ones(4000, 1, 1))
    assert kept.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert kept.mean().item() == pytest.approx(1, abs=0.03)
    assert not torch.equal(block(x, runs), expected)
