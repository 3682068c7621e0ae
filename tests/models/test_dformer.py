"""D-Former: published size, the literal network's outputs, any image, memory, and export."""

import importlib
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from delineate.models import DFormer
from delineate.plan.dry_run import Ledger

SMALL = {"embed_dim": 8, "num_heads": (1, 2, 2, 4), "group_size": (2, 4, 4)}


def build(**rest) -> DFormer:
    torch.manual_seed(0)
    return DFormer(1, 3, **(SMALL | rest))


def lively(network: nn.Module) -> nn.Module:
    """Weights large enough for every part to be heard."""
    torch.manual_seed(1)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network


def weights(outputs: int, **rest) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in DFormer(1, outputs, **rest).parameters())


def test_it_has_the_published_number_of_weights_and_heads_of_its_own_outputs():
    assert weights(14) == 50_557_248
    backbone = 44_353_344
    assert weights(14, deep_supervision=False) == backbone + 96 * 32 * 96 + 2 * 96 + 14 * 96
    assert weights(14) - weights(3) == 11 * (96 + 192 + 384)


@pytest.fixture
def literal(monkeypatch: pytest.MonkeyPatch):
    """The network as described, layer by layer; the module is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "bench"))
    yield importlib.import_module("dformer_literal")
    sys.modules.pop("dformer_literal", None)


@pytest.mark.parametrize("size", [(16, 64, 64), (16, 32, 96)])
def test_with_equal_weights_it_is_the_literal_network(literal, size):
    theirs = lively(literal.Literal(2, 3, **SMALL)).double()
    ours = DFormer(2, 3, **SMALL).double()
    ours.load_state_dict(literal.ours_from_literal(theirs.state_dict()), strict=True)
    image = torch.randn(2, 2, *size).double()
    output, expected = ours(image), theirs(image)
    found = [output.logits, *output.deep]
    torch.testing.assert_close(found, expected)
    pulls = [torch.randn_like(e) for e in expected]
    torch.autograd.backward(found, pulls)
    torch.autograd.backward(expected, pulls)
    grads = literal.ours_from_literal({n: p.grad for n, p in theirs.named_parameters()})
    for name, parameter in ours.named_parameters():
        scale = grads[name].abs().max().item()
        torch.testing.assert_close(
            parameter.grad, grads[name], rtol=0, atol=1e-8 * scale + 1e-12, msg=name
        )


@pytest.mark.parametrize("size", [(30, 100, 100), (1, 1, 1), (7, 33, 50), (9, 61), (64, 48)])
def test_images_of_any_size_have_logits_of_that_size(size):
    model = build(spatial_dims=len(size), embed_dim=4, num_heads=(1, 1, 2, 2))
    output = model(torch.randn(1, 1, *size))
    assert output.logits.shape == (1, 3, *size)
    assert output.logits.is_contiguous()
    halves = [tuple(-(-n // step) for n in size) for step in (2, 4)]
    assert [tuple(deep.shape) for deep in output.deep] == [(1, 3, *half) for half in halves]
    assert model.eval()(torch.randn(1, 1, *size)).deep == ()
    output.logits.sum().backward()


def test_the_same_image_has_the_same_logits_before_and_after_another_size():
    model = lively(build()).eval()
    image = torch.randn(1, 1, 8, 48, 48)
    with torch.no_grad():
        before = model(image).logits
        model(torch.randn(1, 1, 4, 9, 9))
        assert torch.equal(model(image).logits, before)
        torch.testing.assert_close(model(image.repeat(2, 1, 1, 1, 1)).logits[1:], before)


def test_voxels_of_the_padding_change_nothing_but_by_their_zeros():
    model = lively(build()).eval()
    image = torch.randn(1, 1, 7, 30, 29)
    padded = torch.nn.functional.pad(image, (0, 3, 0, 2, 0, 1))
    with torch.no_grad():
        found, expected = model(image).logits, model(padded).logits
    torch.testing.assert_close(found, expected[..., :7, :30, :29])


def test_planes_alone_make_a_network_of_two_dimensions():
    model = build(spatial_dims=2)
    assert model.embed.convolution.kernel_size == (4, 4)
    assert model.encoder[0].group == (4, 4)
    output = model(torch.randn(2, 1, 64, 32))
    assert output.logits.shape == (2, 3, 64, 32)


@pytest.mark.parametrize("size", [(8, 40, 36)])
def test_recomputed_blocks_give_the_same_gradients(size):
    plain, lean = lively(build(drop_path=0.5)), lively(build(drop_path=0.5, checkpointing=True))
    image = torch.randn(2, 1, *size)
    for model in (plain, lean):
        torch.manual_seed(2)  # dropped branches
        output = model(image)
        torch.stack([p.square().mean() for p in (output.logits, *output.deep)]).sum().backward()
    for (name, a), b in zip(plain.named_parameters(), lean.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, msg=name)


def peak(size: tuple[int, ...], **rest) -> int:
    """Bytes of a forward and backward pass, counted on shapes."""
    with torch.device("meta"):
        model = DFormer(1, 2, **rest)
        image = torch.empty(1, 1, *size)
    with Ledger() as ledger:
        output = model(image)
        (output.logits.sum() + sum(deep.sum() for deep in output.deep)).backward()
    return ledger.peak


@pytest.mark.slow
def test_checkpointing_keeps_less():
    size = (32, 128, 128)
    small = {"embed_dim": 32, "num_heads": (1, 2, 4, 8)}
    assert peak(size, **small, checkpointing=True) < peak(size, **small) / 1.5


def test_every_weight_is_trained_by_some_head():
    model = build(spatial_dims=2)
    output = model(torch.randn(2, 1, 64, 64))
    torch.stack([p.square().mean() for p in (output.logits, *output.deep)]).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_in_half_precision_it_trains():
    model = lively(build(spatial_dims=2, depths=(2, 1), num_heads=(1, 1)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(torch.randn(1, 1, 36, 32))
    output.logits.float().square().mean().backward()
    assert all(p.grad.isfinite().all() for p in model.encoder.parameters())


class Scores(nn.Module):
    """The logits alone."""

    def __init__(self, network: DFormer) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.network(image).logits


@pytest.mark.slow
def test_it_is_exported_for_batches_of_any_size():
    model = lively(build()).eval()
    image = torch.randn(2, 1, 6, 40, 36)
    with torch.no_grad():
        program = torch.export.export(
            Scores(model),
            (image,),
            dynamic_shapes={"image": {0: torch.export.Dim("batch", min=1)}},
            strict=False,
        )
        more = torch.randn(3, 1, 6, 40, 36)
        torch.testing.assert_close(program.module()(more), model(more).logits)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"patch_size": (4,)},
            "DFormer: patch_size is (4,). Fix: 3 numbers of at least 1, one an axis.",
        ),
        (
            {"group_size": (2, 0, 8)},
            "DFormer: group_size is (2, 0, 8). Fix: 3 numbers of at least 1, one an axis.",
        ),
        (
            {"num_heads": (1, 2)},
            "DFormer: depths has 4 entries and num_heads 2. "
            "Fix: one of each for every stage, and two stages or more.",
        ),
        (
            {"num_heads": (3, 6, 12, 24)},
            "DFormer: 3 heads cannot share the 8 channels of their stage. "
            "Fix: num_heads that divide embed_dim x (1, 2, 4, ...).",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(wrong, message):
    with pytest.raises(ValueError) as error:
        build(**wrong)
    assert str(error.value) == message


def test_an_image_of_other_dimensions_is_refused():
    with pytest.raises(ValueError) as error:
        build(spatial_dims=2)(torch.randn(1, 1, 16, 16, 16))
    assert str(error.value) == (
        "image: this DFormer takes 2 spatial axes, got the shape (1, 1, 16, 16, 16). "
        "Fix: pass (b, c, i, j), or another spatial_dims."
    )
