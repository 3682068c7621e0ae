"""MedNeXt against the published parameter counts, plain torch layers and MONAI's network."""

import pytest
import torch
import torch.nn.functional as F

from delineate.models import MedNeXt
from delineate.models.mednext import BLOCKS, RATIOS, enlarge_kernel

PUBLISHED = {
    ("S", 3): 5.6,
    ("S", 5): 5.9,
    ("B", 3): 10.5,
    ("B", 5): 11.0,
    ("M", 3): 17.6,
    ("M", 5): 18.3,
    ("L", 3): 61.8,
    ("L", 5): 63.0,
}
"""Millions, from the authors' table (arXiv 2303.09975 and the README of MIC-DKFZ/MedNeXt)."""


def topology(dims: int = 3, levels: int = 5) -> dict:
    ones, twos = (1,) * dims, (2,) * dims
    return {"strides": (ones, *[twos] * (levels - 1)), "kernels": ((3,) * dims,) * levels}


def build(dims: int = 3, levels: int = 3, **rest) -> MedNeXt:
    torch.manual_seed(0)
    return MedNeXt(2, 3, **(topology(dims, levels) | {"width": 4} | rest))


def count(**arguments) -> int:
    with torch.device("meta"):
        model = MedNeXt(1, 1, **topology(), **arguments)
    return sum(p.numel() for p in model.parameters())


def counted_on_paper(size: str, kernel: int) -> int:
    """One channel in, one class out, no deep supervision: the authors' counts less their dummy."""

    def block(a, b, ratio):
        return a * (kernel**3 + 1) + 2 * a + (a * ratio * a + ratio * a) + (ratio * a * b + b)

    widths = [32 * 2**i for i in range(5)]
    blocks, ratios = BLOCKS[size], RATIOS[size]
    total = (32 + 32) + (32 + 1)
    for i, width in enumerate(widths):
        total += blocks[i] * block(width, width, ratios[i]) * (1 if i == 4 else 2)
    for i in range(4):
        fine, coarse = widths[i : i + 2]
        total += block(fine, coarse, ratios[i + 1]) + fine * coarse + coarse
        total += block(coarse, fine, ratios[i]) + fine * coarse + fine
    return total


@pytest.mark.parametrize(("size", "kernel"), PUBLISHED)
def test_the_parameters_are_the_published_ones(size, kernel):
    """Within 1 %: they count more classes, and print the 5.98 of S with kernel 5 as 5.9."""
    parameters = count(size=size, kernel=kernel)
    assert parameters == counted_on_paper(size, kernel)
    published = 5.98 if (size, kernel) == ("S", 5) else PUBLISHED[size, kernel]
    assert parameters / 1e6 == pytest.approx(published, rel=0.01)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("levels", [2, 4])
def test_logits_have_the_size_of_the_image_for_any_number_of_levels(dims, levels):
    image = torch.randn(1, 2, *(2 ** (levels - 1) * n for n in (2, 3, 1)[:dims]))
    output = build(dims, levels)(image)
    assert output.logits.shape == (1, 3, *image.shape[2:])
    assert output.deep == ()


def test_levels_beyond_the_fifth_repeat_it():
    model = build(2, 7, size="M")
    assert [len(level) - 1 for level in model.encoder] == [3, 4, 4, 4, 4, 4, 4]
    assert [level[-1].narrow.out_channels for level in model.encoder] == [4, 8, 16, 32, 64, 64, 64]


def test_a_thick_axis_keeps_its_kernel_of_one_and_its_stride():
    kernels = ((3, 3, 1), (3, 3, 3))
    model = build(strides=((1, 1, 1), (2, 2, 1)), kernels=kernels, kernel=5)
    assert model.encoder[0][1].depthwise.kernel_size == (5, 5, 1)
    assert model.encoder[1][0].depthwise.kernel_size == (5, 5, 5)
    assert model(torch.randn(1, 2, 4, 6, 5)).logits.shape == (1, 3, 4, 6, 5)


def test_deep_logits_come_finest_first_and_only_while_training():
    model = build(levels=4, deep_supervision=True)
    image = torch.randn(1, 2, 8, 8, 16)
    assert [d.shape[2:] for d in model.train()(image).deep] == [(4, 4, 8), (2, 2, 4)]
    assert model.eval()(image).deep == ()


@pytest.mark.parametrize("dims", [2, 3])
def test_the_network_computes_what_plain_torch_layers_compute(dims):
    model = build(dims, kernel=5).double()
    image = torch.randn(2, 2, *(8, 4, 12)[:dims], dtype=torch.double)
    logits = model(image).logits
    plain = textbook(model, image)
    torch.testing.assert_close(logits, plain)
    grad = torch.randn_like(plain)
    parameters = list(model.parameters())
    for a, b in zip(
        torch.autograd.grad(logits, parameters, grad),
        torch.autograd.grad(plain, parameters, grad),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def textbook(model: MedNeXt, x: torch.Tensor) -> torch.Tensor:
    def inner(block, x):
        x = F.instance_norm(x, weight=block.norm.weight, bias=block.norm.bias)
        return block.narrow(F.gelu(block.widen(x)))

    def resample(block, x, convolve):
        thin = block.shortcut.convolution
        weight = thin.weight if convolve in (F.conv2d, F.conv3d) else thin.weight.transpose(0, 1)
        return inner(block, block.depthwise(x)) + convolve(x, weight, thin.bias, 2)

    down, up = (F.conv2d, F.conv_transpose2d) if x.dim() == 4 else (F.conv3d, F.conv_transpose3d)
    skips = []
    for level in model.encoder:
        first, *blocks = level
        x = resample(first, x, down) if skips else first(x)
        for block in blocks:
            x = x + inner(block, block.depthwise(x))
        skips.append(x)
    for i in reversed(range(len(model.decoder))):
        x = F.pad(resample(model.up[i][0], x, up), (1, 0) * (x.dim() - 2)) + skips[i]
        for block in model.decoder[i]:
            x = x + inner(block, block.depthwise(x))
    return model.heads[0](x)


def test_monai_computes_the_same_from_the_same_weights():
    """Size S only: MONAI gives a way down the ratio of the level it leaves, the authors do not."""
    nets = pytest.importorskip("monai.networks.nets")
    theirs = nets.MedNeXtS(spatial_dims=3, in_channels=1, out_channels=2, kernel_size=3)
    ours = MedNeXt(1, 2, **topology())
    ours.load_state_dict({name: theirs_of(name, theirs.state_dict()) for name in ours.state_dict()})
    image = torch.randn(1, 1, 32, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(ours(image).logits, theirs(image), atol=1e-4, rtol=1e-4)


def theirs_of(name: str, state: dict) -> torch.Tensor:
    part, level, *rest = name.split(".")
    i = int(level)
    last = rest[-1]
    inside = {"depthwise": "conv1", "norm": "norm", "widen": "conv2", "narrow": "conv3"}
    inside["shortcut"] = "res_conv"
    if part == "heads":
        found = state[f"out_0.conv_out.{last}"]
        return found.transpose(0, 1) if last == "weight" else found
    if part == "up":
        found = state[f"up_blocks.{3 - i}.{inside[rest[1]]}.{last}"]
        return found.transpose(0, 1) if (rest[1], last) == ("shortcut", "weight") else found
    if part == "decoder":
        return state[f"dec_stages.{3 - i}.{rest[0]}.{inside[rest[1]]}.{last}"]
    if rest[0] == "0":
        return (
            state[f"down_blocks.{i - 1}.{inside[rest[1]]}.{last}"] if i else state[f"stem.{last}"]
        )
    where = "bottleneck" if i == 4 else f"enc_stages.{i}"
    return state[f"{where}.{int(rest[0]) - 1}.{inside[rest[1]]}.{last}"]


def test_checkpointing_changes_no_gradient():
    image = torch.randn(1, 2, 4, 8, 4)
    plain, lean = build(), build(checkpointing=True)
    for model in (plain, lean):
        model(image).logits.square().mean().backward()
    for a, b in zip(plain.parameters(), lean.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.parametrize(("before", "after"), [((3, 3, 3), (5, 5, 5)), ((3, 1), (5, 1))])
def test_an_enlarged_kernel_is_the_linear_interpolation_of_the_small_one(before, after):
    weight = torch.randn(4, 1, *before)
    line = torch.tensor(
        [[1, 0, 0], [0.6, 0.4, 0], [0, 1, 0], [0, 0.4, 0.6], [0, 0, 1]]
    )  # five voxels over three of the same extent: their centres at -0.2, 0.4, 1, 1.6, 2.2
    expected = weight
    for axis, size in enumerate(before):
        if size == 3:
            expected = torch.tensordot(expected, line, dims=([2 + axis], [1])).movedim(-1, 2 + axis)
    torch.testing.assert_close(enlarge_kernel(weight, after), expected)


def test_a_size_that_the_strides_do_not_divide_names_the_next_one():
    with pytest.raises(ValueError) as error:
        build()(torch.randn(1, 2, 9, 8, 7))
    assert str(error.value) == (
        "image: the size (9, 8, 7) is not divisible by the network's total stride (4, 4, 4). "
        "Fix: pad to (12, 8, 8)."
    )
