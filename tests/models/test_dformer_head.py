"""Heads against the expansion, normalisation and product that they stand for."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from delineate.models import dformer_head
from delineate.models.dformer_head import Head
from delineate.plan.dry_run import Ledger

PATCHES = [((3, 2, 4), (2, 1, 3)), ((5, 3), (4, 2))]


def build(patch, width: int = 6, classes: int = 3) -> Head:
    torch.manual_seed(0)
    head = Head(width, classes, patch).double()
    for parameter in head.parameters():
        nn.init.normal_(parameter)
    return head


def plain(head: Head, x: torch.Tensor) -> torch.Tensor:
    """All channels at full resolution."""
    cases, *grid, width = x.shape
    dims = len(grid)
    fine = head.norm(head.expand(x).view(cases, *grid, *head.patch, width))
    found = F.linear(fine, head.classes.weight)
    order = [axis for i in range(dims) for axis in (1 + i, 1 + dims + i)]
    found = found.permute(0, 1 + 2 * dims, *order)
    sizes = (n * p for n, p in zip(grid, head.patch, strict=True))
    return found.reshape(cases, -1, *sizes)


@pytest.mark.parametrize("tokens", ["many", "few"])
@pytest.mark.parametrize(("grid", "patch"), PATCHES)
def test_logits_and_gradients_are_those_of_the_plain_form(monkeypatch, grid, patch, tokens):
    # Twelve channels make the few, and every slab is a row of the grid.
    head = build(patch, width=4 if tokens == "many" else 24)
    monkeypatch.setattr(dformer_head, "_SLAB", 1)
    x = torch.randn(2, *grid, head.norm.weight.numel()).double().requires_grad_()
    found, expected = head(x), plain(head, x)
    torch.testing.assert_close(found, expected)
    weights = (x, *head.parameters())
    pull = torch.randn_like(found)
    mine = torch.autograd.grad(found, weights, pull)
    theirs = torch.autograd.grad(expected, weights, pull)
    torch.testing.assert_close(mine, theirs)


def test_slabs_of_any_size_give_the_same(monkeypatch):
    head = build((2, 2, 2))
    x = torch.randn(1, 5, 3, 3, 6).double()
    expected = head(x)
    for numbers in (1, 1000, 2000, 1 << 30):
        monkeypatch.setattr(dformer_head, "_SLAB", numbers)
        torch.testing.assert_close(head(x), expected)


def test_features_at_full_resolution_are_never_there():
    tokens, patch, width = (16, 32, 32), (2, 4, 4), 96
    with torch.device("meta"):
        head = Head(width, 2, patch)
        x = torch.empty(1, *tokens, width, requires_grad=True)
    with Ledger() as ledger:
        head(x).sum().backward()
    features = 4 * 16 * 32 * 32 * 2 * 4 * 4 * width
    assert ledger.peak < features / 3


def test_without_gradients_it_is_the_same():
    head = build((2, 2))
    x = torch.randn(2, 3, 3, 6).double()
    with torch.no_grad():
        assert torch.equal(head(x), head(x).detach())
        torch.testing.assert_close(head(x), plain(head, x))


def test_in_half_precision_gradients_reach_every_weight():
    head = build((2, 2)).float()
    x = torch.randn(2, 3, 3, 6, requires_grad=True)
    expected = head(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = head(x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, rtol=0.05, atol=0.1)
    found.float().square().mean().backward()
    for tensor in (x, *head.parameters()):
        assert tensor.grad is not None
        assert tensor.grad.dtype == torch.float32
        assert tensor.grad.isfinite().all()
