"""Grown networks compute what they did, and what is new in them learns."""

import json

import pytest
import torch
from torch import nn

from delineate.engine.growth import grow, largest_difference, probe_image
from delineate.errors import DataError
from delineate.models import AttentionUNet, HybridCNNTransformer, UNet
from delineate.models.hybrid import STAGES

NARROW = {"base_filters": 8, "depth": 2, "blocks": (1, 2)}
BARE = {"attention": False, "transformer": False}
TRANSITIONS = {
    "nothing": (NARROW, NARROW),
    "wider": (NARROW, {**NARROW, "base_filters": 24}),
    "wider, bare": ({**NARROW, **BARE}, {**NARROW, **BARE, "base_filters": 16}),
    "deeper": (NARROW, {**NARROW, "depth": 4}),
    "deeper, bare": ({**NARROW, **BARE}, {**NARROW, **BARE, "depth": 3}),
    "gates": ({**NARROW, **BARE}, {**NARROW, "transformer": False}),
    "transformers": ({**NARROW, **BARE}, {**NARROW, "attention": False}),
    "more transformers": (NARROW, {**NARROW, "transformer_depth": 2}),
    "more blocks": (NARROW, {**NARROW, "blocks": (2, 3, 4)}),
    "everything": (
        {**NARROW, **BARE},
        {"base_filters": 16, "depth": 3, "blocks": (2, 3), "transformer_depth": 2},
    ),
}
FLAT = {
    "features": (4, 8, 8),
    "strides": ((1, 1), (2, 2), (2, 2)),
    "kernels": ((3, 3),) * 3,
    "convolutions": (1, 1, 1),
}
FLAT_PROBE = probe_image(2, (16, 16))


def trained(network: nn.Module) -> nn.Module:
    """As after a training: nothing is zero, gates and excitations are open to some degree."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.05 * torch.randn(weight.shape, generator=generator)
    return network


def hybrid(wish, *, dims=2, channels=2) -> HybridCNNTransformer:
    torch.manual_seed(len(wish))
    return HybridCNNTransformer(channels, 3, spatial_dims=dims, **wish)


@pytest.mark.parametrize(
    ("change", "dims"), [*((change, 2) for change in TRANSITIONS), ("everything", 3)]
)
def test_a_grown_network_computes_the_same(change, dims):
    small, large = TRANSITIONS[change]
    before, after = trained(hybrid(small, dims=dims)).double(), hybrid(large, dims=dims).double()
    probe = probe_image(2, (32, 32) if dims == 2 else (16, 16, 16)).double()
    fresh, _ = largest_difference(before, after, probe)

    growth = grow(after, before, probe=probe)

    assert fresh > 0.1
    assert growth.scale > 0.1
    assert growth.difference <= 1e-11 * growth.scale
    assert growth.exact
    assert "the same function" in growth.summary


@pytest.mark.slow
def test_the_documented_stages_grow_into_each_other():
    probe = probe_image(1, (32, 32, 32))
    before = None
    for wish in STAGES.values():
        torch.manual_seed(0)
        network = HybridCNNTransformer(1, 1, **wish)
        if before is not None:
            growth = grow(network, before, probe=probe)
            assert growth.difference <= 5e-5 * growth.scale
            assert growth.report.count("skipped") == 0
            assert growth.report.share("loaded", "adapted") > 0.3
        before = trained(network)


@pytest.mark.parametrize("change", ["wider, bare", "deeper", "more blocks", "everything"])
def test_what_is_new_learns(change):
    small, large = TRANSITIONS[change]
    before, after = trained(hybrid(small)), hybrid({**large, "dropout": 0.0})
    grow(after, before, probe=probe_image(2, (16, 16)))
    had = dict(before.named_parameters())
    image, mask = torch.randn(2, 2, 32, 32), torch.randint(0, 3, (2, 32, 32))
    seen = {name: torch.zeros_like(weight) for name, weight in after.named_parameters()}
    for _ in range(5):
        output = after.train()(image)
        loss = nn.functional.cross_entropy(output.logits, mask)
        after.zero_grad()
        sum((deep.square().mean() for deep in output.deep), loss).backward()
        for name, weight in after.named_parameters():
            seen[name] += weight.grad.abs()
            weight.data -= 0.1 * weight.grad

    for name, gradient in seen.items():
        old = had[name].shape if name in had else (0,)
        rows, columns = old[0], old[1] if len(old) > 1 else None
        parts = [gradient[rows:]] + ([gradient[:rows, columns:]] if columns is not None else [])
        assert all((part > 0).any() for part in parts if part.numel()), name


def test_old_weights_are_carried_and_new_ones_start_fresh_or_silent():
    before, after = trained(hybrid({**NARROW, **BARE})), hybrid({**NARROW, "base_filters": 16})
    fresh = {name: weight.clone() for name, weight in after.state_dict().items()}
    growth = grow(after, before, probe=FLAT_PROBE)
    rows = {row.name: row for row in growth.report.rows}
    state, old = after.state_dict(), before.state_dict()

    name = "decoder.1.0.enter.weight"
    assert torch.equal(state[name][:16, :16], old[name])
    assert state[name][:16, 16:].abs().max() == 0
    assert torch.equal(state[name][16:], fresh[name][16:])
    assert (rows[name].status, rows[name].note) == ("adapted", "widened from 16x16x1x1")
    name = "decoder.1.0.middle.weight"
    assert torch.equal(state[name][:16], old[name])
    assert torch.equal(state[name][16:], fresh[name][16:])
    name = "heads.0.1.bias"
    assert torch.equal(state[name], old[name])
    assert (rows[name].status, rows[name].note) == ("loaded", "")
    name = "encoder.2.transformers.0.merge.weight"
    assert state[name].abs().max() == 0
    assert (rows[name].status, rows[name].note) == ("left", "0, so that its piece adds nothing")
    name = "encoder.2.transformers.0.query.weight"
    assert torch.equal(state[name], fresh[name])
    assert (rows[name].status, rows[name].note) == ("left", "fresh")


def test_the_proof_is_plain_data():
    growth = grow(hybrid({**NARROW, "depth": 3}), trained(hybrid(NARROW)), probe=FLAT_PROBE)
    data = json.loads(json.dumps(growth.to_json()))
    assert data["proof"] == {
        "difference": growth.difference,
        "scale": growth.scale,
        "exact": True,
    }
    assert data["summary"] == growth.summary
    assert len(data["weights"]) == len(hybrid({**NARROW, "depth": 3}).state_dict())


def test_networks_are_left_in_their_modes():
    before, after = hybrid(NARROW).eval(), hybrid(NARROW).train()
    after.encoder[0].eval()
    grow(after, before, probe=FLAT_PROBE)
    assert not before.training
    assert after.training
    assert not after.encoder[0].training


def test_other_networks_are_carried_by_name_and_the_proof_says_what_is_lost():
    before = trained(UNet(2, 3, **FLAT))
    same = grow(UNet(2, 3, **FLAT), before, probe=FLAT_PROBE)
    assert same.difference == 0
    assert same.report.share("loaded") == 1

    gated = grow(AttentionUNet(2, 3, **FLAT), before, probe=FLAT_PROBE)
    assert 0.5 < gated.report.share("loaded") < 1
    assert not gated.exact
    assert gated.summary.endswith("not the same function")


def test_a_network_that_shrinks_is_not_the_same():
    before, after = trained(hybrid(NARROW)), hybrid({**NARROW, "blocks": (1, 1)})
    growth = grow(after, before, probe=FLAT_PROBE)
    assert growth.report.count("skipped") > 0
    assert not growth.exact


def test_weights_that_are_no_numbers_are_refused():
    before, after = hybrid(NARROW), hybrid(NARROW)
    start = after.encoder[0].enter.weight.clone()
    nn.init.constant_(before.encoder[0].enter.weight, float("nan"))
    with pytest.raises(DataError, match=r"'encoder.0.enter.weight' .* no numbers"):
        grow(after, before, probe=FLAT_PROBE)
    assert torch.equal(after.encoder[0].enter.weight, start)
