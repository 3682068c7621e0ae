"""The hybrid network: documented sizes, counts on paper, any image, memory."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from delineate.contracts import Target
from delineate.labels import Labels
from delineate.losses import CrossEntropy, WeightedSum
from delineate.models import HybridCNNTransformer
from delineate.models.hybrid import STAGES
from delineate.plan import measure_step
from delineate.plan.dry_run import build_dry

DOCUMENTED = {
    "stage1_basic": {"weights": 0.5e6, "size": 96, "batch": 2, "gb": 6},
    "stage2_attention": {"weights": 2e6, "size": 112, "batch": 1, "gb": 10},
    "stage3_hybrid_small": {"weights": 8e6, "size": 128, "batch": 1, "gb": 15},
    "stage4_hybrid_full": {"weights": 22e6, "size": 144, "batch": 1, "gb": 20},
}
every_stage = pytest.mark.parametrize("stage", STAGES)
both_dimensions = pytest.mark.parametrize("dims", [2, 3])
SMALL = {"base_filters": 8, "depth": 2, "blocks": (1, 2)}
SIZES = {2: (16, 12), 3: (8, 12, 8)}


def build(dims=2, **rest) -> HybridCNNTransformer:
    torch.manual_seed(0)
    return HybridCNNTransformer(2, 3, spatial_dims=dims, **(SMALL | rest))


def dry(stage: str) -> nn.Module:
    return build_dry(lambda: HybridCNNTransformer(1, 1, **STAGES[stage]))


def numbers(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def image(*size: int) -> torch.Tensor:
    return torch.randn(2, 2, *size, generator=torch.Generator().manual_seed(1))


@every_stage
def test_a_stage_has_about_the_documented_number_of_weights(stage):
    assert numbers(dry(stage)) == pytest.approx(DOCUMENTED[stage]["weights"], rel=0.1)


@every_stage
def test_a_stages_weights_are_those_counted_on_paper(stage):
    wish = STAGES[stage]
    base, depth, blocks = wish["base_filters"], wish["depth"], wish["blocks"]
    widths = [min(512, base * 2**i) for i in range(depth + 1)]

    def block(before, width, *, project):
        hidden = max(4, width // 16)
        kernels = before * width + 27 * 8 * width + width * width
        norms = 2 * before + 2 * width + 2 * width
        excitation = 2 * width * hidden + hidden + width
        return kernels + norms + excitation + project * before * width

    def transformer(width):
        position, norms = 28 * width, 4 * width
        attention = 4 * width**2 + 2 * width
        return position + norms + attention + 8 * width**2 + 5 * width

    total = 27 * widths[0]
    for level, width in enumerate(widths):
        total += block(widths[max(level - 1, 0)], width, project=level > 0)
        total += (blocks[level] - 1) * block(width, width, project=False)
        if wish["transformer"] and level >= 2:
            total += wish.get("transformer_depth", 1) * transformer(width)
    for level, width in enumerate(widths[:-1]):
        total += width * widths[level + 1]
        total += blocks[level] * block(width, width, project=False)
        total += wish["attention"] * (width * width + width // 2 + width // 2 + 1)
        total += 2 * width + width + 1
    assert numbers(dry(stage)) == total


@every_stage
def test_a_stages_step_takes_no_more_memory_than_documented(stage):
    wish = DOCUMENTED[stage]
    taken = measure_step(
        dry(stage),
        patch=(wish["size"],) * 3,
        batch_size=wish["batch"],
        channels=1,
        labels=Labels.from_names({"lesion": 1}, overlapping=True),
        device="cpu",
        precision="bf16",
    )
    assert taken < wish["gb"]


@both_dimensions
def test_coarser_logits_come_while_training_only(dims):
    network, size = build(dims, depth=3), tuple(2 * n for n in SIZES[dims])
    output = network(image(*size))
    assert output.logits.shape == (2, 3, *size)
    assert [tuple(d.shape[2:]) for d in output.deep] == [
        tuple(n // step for n in size) for step in (2, 4)
    ]
    output.deep[1].sum().backward()
    assert network.heads[2][1].weight.grad.abs().max() > 0
    assert network.eval()(image(*size)).deep == ()
    assert build(dims, deep_supervision=False)(image(*size)).deep == ()


@both_dimensions
def test_an_image_of_any_size_is_padded_with_its_last_voxels(dims):
    network = build(dims, dropout=0.0)
    size = (9, 14, 3)[:dims]
    given = image(*size)
    padded = F.pad(given, (0, 5, 0, 2, 0, 3) if dims == 3 else (0, 2, 0, 3), mode="replicate")
    output, expected = network(given), network(padded)

    resolutions = [(output.logits, expected.logits), *zip(output.deep, expected.deep, strict=True)]
    for found, whole in resolutions:
        step = padded.shape[2] // whole.shape[2]
        assert torch.equal(found, whole[(..., *(slice(-(-n // step)) for n in size))])


def test_a_loss_over_the_resolutions_takes_an_odd_image():
    network = build()
    mask = torch.randint(0, 3, (2, 9, 14))
    loss = WeightedSum({"entropy": CrossEntropy()}, {"entropy": 1.0})
    terms = loss(network(image(9, 14)), Target(mask=mask))
    sum(terms.values()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


@both_dimensions
def test_one_voxel_is_an_image(dims):
    assert build(dims).eval()(image(*(1,) * dims)).logits.isfinite().all()


def test_gates_pass_everything_at_the_start():
    gated, plain = build(dropout=0.0), build(dropout=0.0, attention=False)
    state = gated.state_dict()
    plain.load_state_dict({name: state[name] for name in plain.state_dict()})
    assert torch.equal(gated(image(16, 16)).logits, plain(image(16, 16)).logits)


def test_transformer_blocks_stand_from_a_stride_of_four_on():
    network = build(depth=3, transformer_depth=2)
    assert [len(level.transformers) for level in network.encoder] == [0, 0, 2, 2]
    assert not any(len(level.transformers) for level in build(transformer=False).encoder)


def test_dropout_is_for_training_only():
    network = build(depth=3, dropout=0.5)
    given = image(32, 32)
    assert not torch.equal(network(given).logits, network(given).logits)
    network.eval()
    assert torch.equal(network(given).logits, network(given).logits)


@both_dimensions
def test_recomputing_changes_no_gradient(dims):
    kept, recomputed = build(dims), build(dims, checkpointing=True)
    recomputed.load_state_dict(kept.state_dict())
    for network in (kept, recomputed):
        torch.manual_seed(3)
        output = network(image(*SIZES[dims]))
        sum(t.square().mean() for t in (output.logits, *output.deep)).backward()
    for ours, theirs in zip(recomputed.parameters(), kept.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_recomputing_takes_less_memory():
    wish = {"base_filters": 16, "depth": 2, "blocks": (1,)}
    taken = [
        measure_step(
            build_dry(partial(HybridCNNTransformer, 1, 2, checkpointing=again, **wish)),
            patch=(48,) * 3,
            batch_size=1,
            channels=1,
            labels=Labels.from_names({"lesion": 1}),
            device="cpu",
            precision="fp32",
        )
        for again in (False, True)
    ]
    assert taken[1] < 0.75 * taken[0]


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"base_filters": 12}, "base_filters must be a multiple of 8, the width of its groups"),
        ({"depth": 0, "transformer": False}, "depth must be at least 1; got 0."),
        ({"blocks": (1, 0)}, "blocks must be at least 1 a level; got (1, 0)."),
        ({"depth": 1}, "transformer blocks stand from level 2 on, but depth is 1."),
    ],
)
def test_what_contradicts_itself_is_refused(wish, message):
    with pytest.raises(ValueError) as error:
        build(**wish)
    assert message in str(error.value)


def test_an_image_of_other_axes_is_refused():
    with pytest.raises(ValueError, match="takes 3 spatial axes"):
        build(3)(image(16, 16))
