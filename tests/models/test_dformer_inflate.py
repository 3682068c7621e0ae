"""Weights of two dimensions in a network of three: the same answers on planes that are alike."""

import pytest
import torch
from torch import nn

from delineate.engine.transfer import start_from
from delineate.labels import Labels
from delineate.models import DFormer, inflate_2d

SMALL = {"embed_dim": 8, "depths": (2, 2, 1, 1), "num_heads": (1, 2, 2, 4), "group_size": (2, 4, 4)}


def build(dims: int) -> DFormer:
    network = DFormer(1, 3, spatial_dims=dims, **SMALL).double().eval()
    torch.manual_seed(dims)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network


@pytest.mark.parametrize("size", [(64, 64), (40, 52)])
def test_a_volume_of_equal_planes_is_answered_as_its_plane(size):
    flat, deep = build(2), build(3)
    deep.load_state_dict(inflate_2d(flat.state_dict(), deep.state_dict()), strict=True)
    image = torch.randn(1, 1, *size).double()
    with torch.no_grad():
        expected = flat(image).logits
        found = deep(image[:, :, None].repeat(1, 1, 16, 1, 1)).logits
    for plane in found.unbind(2):
        torch.testing.assert_close(plane, expected)


def swin(network: DFormer, *, late: bool) -> dict[str, torch.Tensor]:
    """Random weights of a Swin transformer with the network's widths, and what we have no use for.

    Args:
        late: merging is called the beginning of a stage, as timm does.
    """
    torch.manual_seed(0)
    found = {
        "patch_embed.proj.weight": torch.randn(8, 3, 4, 4),
        "patch_embed.proj.bias": torch.randn(8),
        "head.weight": torch.randn(1000, 64),
    }
    for i, depth in enumerate(SMALL["depths"]):
        width = 8 * 2**i
        for j in range(depth):
            begin = f"layers.{i}.blocks.{j}."
            for name, shape in {
                "norm1.weight": (width,),
                "attn.qkv.weight": (3 * width, width),
                "attn.proj.bias": (width,),
                "attn.relative_position_bias_table": (49, 2),
                "mlp.fc1.weight": (4 * width, width),
                "mlp.fc2.weight": (width, 4 * width),
            }.items():
                found[begin + name] = torch.randn(shape)
        if i < 3:
            merge = f"layers.{i + late}.downsample."
            found[merge + "norm.weight"] = torch.randn(4 * width)
            found[merge + "reduction.weight"] = torch.randn(2 * width, 4 * width)
    return found


@pytest.mark.parametrize("late", [False, True])
def test_a_swin_gives_its_attention_and_perceptrons(late):
    network = DFormer(1, 3, **SMALL)
    own = network.state_dict()
    theirs = swin(network, late=late)
    found = inflate_2d(theirs, own)
    for i, depth in enumerate(SMALL["depths"]):
        for j in range(depth):
            there, here = f"layers.{i}.blocks.{j}.", f"encoder.{i}.blocks.{j}."
            for name, ours in {
                "norm1.weight": "norm1.weight",
                "attn.qkv.weight": "attention.qkv.weight",
                "attn.proj.bias": "attention.proj.bias",
                "mlp.fc1.weight": "mlp.0.weight",
                "mlp.fc2.weight": "mlp.2.weight",
            }.items():
                assert torch.equal(found[here + ours], theirs[there + name])
                assert found[here + ours].shape == own[here + ours].shape
    columns = theirs[f"layers.{int(late)}.downsample.reduction.weight"].view(16, 2, 2, 8)
    merged = found["merges.0.reduce.weight"].view(16, 2, 2, 2, 8)
    for depth, row, column in torch.cartesian_prod(*[torch.arange(2)] * 3).tolist():
        torch.testing.assert_close(merged[:, depth, row, column], columns[:, column, row] / 2)


def test_a_training_starts_from_a_swin(tmp_path):
    network = DFormer(1, 3, **SMALL)
    theirs = swin(network, late=False)
    torch.save({"model": theirs}, tmp_path / "swin.pth")
    labels = Labels.from_names({"liver": 1, "tumour": 2})
    report = start_from(network, tmp_path / "swin.pth", channels=("CT",), labels=labels)
    loaded = {row.name: row for row in report.rows if row.status in ("loaded", "adapted")}
    assert "encoder.0.blocks.0.attention.qkv.weight" in loaded
    assert "merges.2.reduce.weight" in loaded
    assert loaded["embed.convolution.weight"].note == "sum of 3 channels"
    kernel = theirs["patch_embed.proj.weight"].sum(1)[:, None, None] / 2
    torch.testing.assert_close(
        network.embed.convolution.weight.detach(), kernel.expand(-1, -1, 2, -1, -1)
    )
    unused = {row.source for row in report.rows if row.name is None}
    assert "head.weight" in unused
