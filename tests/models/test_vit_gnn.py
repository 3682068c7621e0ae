"""ViT-GNN: documented size, the literal network's logits, any image, positions, and memory."""

import importlib
import sys
from math import prod
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from delineate.assemble import assemble_network
from delineate.config import Config, Data, Part
from delineate.labels import Class, Labels
from delineate.models import ViTGNN, vit_gnn, vit_gnn_raster
from delineate.package.networks import spell_out
from delineate.plan import Network, Normalisation, Plan
from delineate.plan.dry_run import Ledger

SMALL = {"embed_dim": 16, "vit_layers": 2, "num_heads": 2, "mlp_dim": 24}
NESTED = Labels(
    classes=(
        Class(name="stem"),
        Class(name="upper", parent="stem"),
        Class(name="left", id=4, parent="upper"),
        Class(name="right", id=2, parent="upper"),
    )
)


def build(outputs: int = 3, *, inputs: int = 1, **rest) -> ViTGNN:
    torch.manual_seed(0)
    given = {"patch_size": 4, "width": 8, "dropout": 0.0} | SMALL | rest
    return ViTGNN(inputs, outputs, **given)


def weights(outputs: int, **rest) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in ViTGNN(1, outputs, **rest).parameters())


@pytest.mark.parametrize(
    ("outputs", "arguments", "expected"),
    [
        (16, {}, 63_332_896),
        (6, {}, 63_189_516),
        (16, {"mlp_dim": 3072}, 75_924_000),
        (6, {"mlp_dim": 3072}, 75_780_620),
        (
            6,
            {"embed_dim": 384, "vit_layers": 4, "gnn_layers": 2, "num_heads": 6, "mlp_dim": 1536},
            18_302_220,
        ),
    ],
)
def test_the_documented_form_has_the_documented_numbers_of_weights(outputs, arguments, expected):
    assert weights(outputs, graph="raster", **arguments) == expected


def test_a_graph_costs_a_percent_of_the_weights_and_each_node_its_vector():
    without, few, many = weights(16, graph="none"), weights(16), weights(17)
    assert 0 < few - without < 0.02 * few
    # A node, and at each of four levels a row of the classes and its bias.
    assert many - few == 256 + sum(width + 1 for width in (16, 32, 64, 128))


@pytest.fixture
def literal(monkeypatch: pytest.MonkeyPatch):
    """The network as described, its head as narrow as ours; the module is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "bench"))
    module = importlib.import_module("vit_gnn_literal")
    for name, width in (("WIDE", 6), ("NARROW", 5)):
        monkeypatch.setattr(module, name, width)
        monkeypatch.setattr(vit_gnn_raster, name, width)
    yield module
    sys.modules.pop("vit_gnn_literal", None)


@pytest.mark.parametrize("size", [(32, 16, 48), (16, 16, 16)])
def test_with_equal_weights_the_raster_is_the_literal_network(literal, size):
    torch.manual_seed(0)
    theirs = literal.Literal(2, 3, **SMALL, dropout=0.0).double()
    ours = build(inputs=2, graph="raster", patch_size=16).double()
    ours.load_state_dict(literal.ours_from_literal(theirs.state_dict()), strict=True)
    image, pull = torch.randn(2, 2, *size).double(), torch.randn(2, 3, *size).double()
    found, expected = ours(image).logits, theirs(image)
    torch.testing.assert_close(found, expected)
    found.backward(pull)
    expected.backward(pull)
    grads = literal.ours_from_literal({n: p.grad for n, p in theirs.named_parameters()})
    for name, parameter in ours.named_parameters():
        scale = grads[name].abs().max().item()
        torch.testing.assert_close(
            parameter.grad, grads[name], rtol=0, atol=1e-8 * scale + 1e-12, msg=name
        )


def test_more_than_a_thousand_patches_have_positions_in_the_documented_form_too(literal):
    model = build(graph="raster", patch_size=2, gnn_layers=1)
    grid = (11, 10, 10)
    expected = F.interpolate(model.position.T[None], size=prod(grid), mode="linear")[0].T
    torch.testing.assert_close(model._positions(grid), expected)
    assert model(torch.randn(1, 1, *(2 * n for n in grid))).logits.shape == (1, 3, 22, 20, 20)


def test_positions_are_the_grid_itself_or_linear_between_it():
    model = build()
    cube = model.position.T.unflatten(1, (10, 10, 10))
    assert torch.equal(model._positions((10, 10, 10)), model.position)
    finer = F.interpolate(cube[None], size=(12, 20, 10), mode="trilinear")[0]
    torch.testing.assert_close(model._positions((12, 20, 10)), finer.flatten(1).T)
    coarser = F.adaptive_avg_pool3d(cube[None], (4, 5, 1))[0]
    torch.testing.assert_close(model._positions((4, 5, 1)), coarser.flatten(1).T)


@pytest.mark.parametrize("graph", ["nuclei", "none", "raster"])
@pytest.mark.parametrize("size", [(9, 4, 14), (1, 1, 1), (17, 8), (3, 30)])
def test_images_of_any_size_have_logits_of_that_size(literal, graph, size):
    model = build(spatial_dims=len(size), graph=graph)
    output = model(torch.randn(2, 1, *size))
    logits = output.logits
    assert logits.shape == (2, 3, *size)
    assert logits.is_contiguous()
    sum(found.square().mean() for found in (logits, *output.deep)).backward()
    assert all(p.grad is not None for p in model.parameters())


def test_coarser_logits_come_while_training_only():
    size = (9, 4, 14)
    shapes = [
        [tuple(found.shape[2:]) for found in model(torch.randn(1, 1, *size)).deep]
        for model in (build(), build().eval(), build(deep_supervision=False))
    ]
    assert shapes == [[(5, 2, 7)], [], []]


def test_an_odd_image_is_one_whose_last_voxels_are_repeated():
    model = build().eval()
    image = torch.randn(1, 1, 7, 9, 12)
    whole = F.pad(image, (0, 0, 0, 3, 0, 1), mode="replicate")
    with torch.no_grad():
        found = model(image).logits
        torch.testing.assert_close(found, model(whole).logits[..., :7, :9, :12])


@pytest.mark.parametrize("graph", ["nuclei", "raster"])
def test_nothing_is_kept_from_one_image_to_the_next_or_shared_in_a_batch(literal, graph):
    model = build(graph=graph).eval()
    image = torch.randn(1, 1, 8, 12, 8)
    with torch.no_grad():
        before = model(image).logits
        model(torch.randn(1, 1, 5, 4, 30))
        assert torch.equal(model(image).logits, before)
        batch = torch.cat((torch.randn_like(image), image))
        torch.testing.assert_close(model(batch).logits[1:], before)


@pytest.mark.parametrize("norm_first", [True, False])
def test_a_layer_is_attention_and_perceptron_with_norms_in_front_or_behind(norm_first):
    torch.manual_seed(0)
    layer = vit_gnn.Layer(8, 2, 12, dropout=0.0, norm_first=norm_first)
    peer = nn.TransformerEncoderLayer(8, 2, 12, 0.0, batch_first=True, norm_first=norm_first)
    names = {
        "self_attn.in_proj_weight": layer.qkv.weight,
        "self_attn.in_proj_bias": layer.qkv.bias,
        "self_attn.out_proj.weight": layer.proj.weight,
        "self_attn.out_proj.bias": layer.proj.bias,
        "linear1.weight": layer.mlp[0].weight,
        "linear1.bias": layer.mlp[0].bias,
        "linear2.weight": layer.mlp[3].weight,
        "linear2.bias": layer.mlp[3].bias,
    }
    norms = {n: p for n, p in layer.named_parameters() if n.startswith("norm")}
    peer.load_state_dict({**names, **norms}, strict=True)
    x = torch.randn(2, 5, 8)
    torch.testing.assert_close(layer(x), peer(x))


@pytest.mark.parametrize("graph", ["nuclei", "none", "raster"])
def test_recomputed_layers_give_the_same_gradients(literal, graph):
    image = torch.randn(2, 1, 8, 8, 12)
    grads: list[dict[str, Tensor]] = []
    for checkpointing in (False, True):
        model = build(graph=graph, dropout=0.3, checkpointing=checkpointing)
        torch.manual_seed(2)  # what is dropped
        model(image).logits.square().mean().backward()
        grads.append({name: p.grad for name, p in model.named_parameters()})
    torch.testing.assert_close(grads[0], grads[1])


def peak(size: int, **rest) -> int:
    """Bytes of a forward and backward pass of two patches, counted on shapes."""
    with torch.device("meta"):
        model, image = ViTGNN(1, 16, **rest), torch.empty(2, 1, size, size, size)
    with Ledger() as ledger:
        model(image).logits.sum().backward()
    return ledger.peak


def test_a_step_of_the_documented_patches_fits_a_small_card_many_times():
    ours = peak(64)
    assert ours < 1e9
    assert peak(64, checkpointing=True) < ours / 1.15
    assert ours < peak(64, graph="raster") / 3


def test_the_engine_tells_it_the_labels_of_the_data():
    plan = Plan(
        channels=("T2",),
        labels=NESTED,
        spacing=(0.2,) * 3,
        shape=(8,) * 3,
        crop_nonzero=False,
        normalisation=(Normalisation(kind="zscore"),),
        separate_axis=None,
        patch=(8,) * 3,
        batch_size=1,
        network=Network(
            features=(8,), strides=((1, 1, 1),), kernels=((3, 3, 3),), convolutions=(2,)
        ),
        memory_gb=1.0,
    )
    part = Part(name="ViTGNN", patch_size=4, **SMALL)
    network = assemble_network(Config(data=Data(root=Path("a")), model=part), plan)
    assert network.head.graph.channels.tolist() == [0, 3, 4]
    assert len(network.head.graph.nodes) == 5
    assert "labels" not in spell_out(part)["arguments"]


def test_channels_of_priors_are_channels_of_the_image():
    model = build(inputs=4)
    image = torch.randn(1, 4, 8, 8, 8)
    changed = image.clone()
    changed[:, 3] += 1 + torch.rand(1, 8, 8, 8)
    assert not torch.allclose(model(image).logits, model(changed).logits)


@pytest.mark.parametrize("graph", ["nuclei", "raster"])
def test_in_half_precision_it_trains(literal, graph):
    model = build(graph=graph)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(torch.randn(2, 1, 8, 8, 8))
    assert output.logits.dtype == torch.bfloat16
    sum(x.float().square().mean() for x in (output.logits, *output.deep)).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


class Scores(nn.Module):
    """The logits alone."""

    def __init__(self, network: ViTGNN) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return self.network(image).logits


@pytest.mark.slow
@pytest.mark.parametrize("graph", ["nuclei", "raster"])
def test_it_is_exported_for_batches_of_any_size(literal, graph):
    model = build(graph=graph).eval()
    with torch.no_grad():
        program = torch.export.export(
            Scores(model),
            (torch.randn(2, 1, 6, 8, 9),),
            dynamic_shapes={"image": {0: torch.export.Dim("batch", min=1)}},
            strict=False,
        )
        more = torch.randn(3, 1, 6, 8, 9)
        torch.testing.assert_close(program.module()(more), model(more).logits)


def test_it_learns_what_is_where_in_a_few_steps():
    torch.manual_seed(1)
    mask = torch.zeros(1, 8, 8, 8, dtype=torch.long)
    mask[:, 1:4, 2:7, 2:6], mask[:, 4:7, 2:7, 2:6] = 1, 2
    image = (mask > 0).float()[:, None] + 0.1 * torch.randn(1, 1, 8, 8, 8)
    model = build(labels=NESTED)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(25):
        optimizer.zero_grad()
        F.cross_entropy(model(image).logits, mask).backward()
        optimizer.step()
    # Both structures are equally bright: position alone tells them apart.
    assert (model(image).logits.argmax(1) == mask).float().mean() > 0.97


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"num_heads": 3},
            "ViTGNN: 3 heads cannot share 16 channels. Fix: num_heads that divide embed_dim.",
        ),
        ({"patch_size": 12}, "ViTGNN: patch_size is 12. Fix: 2, 4, 8, 16 or 32."),
        (
            {"gnn_layers": 0},
            "ViTGNN: gnn_layers is 0. Fix: at least 1, or graph=none for no graph.",
        ),
        (
            {"labels": NESTED, "outputs": 4},
            "ViTGNN: the labels have 3 channels but out_channels is 4. Fix: one output channel "
            "per leaf of the labels, and one for the background unless masks overlap.",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(wrong, message):
    with pytest.raises(ValueError) as error:
        build(**wrong)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("dims", "graph", "message"),
    [
        (4, "none", "ViTGNN: spatial_dims is 4. Fix: 2 or 3."),
        (3, "ring", "ViTGNN: graph is 'ring'. Fix: nuclei, raster or none."),
    ],
)
def test_what_no_type_checker_has_seen_is_refused_too(dims, graph, message):
    with pytest.raises(ValueError) as error:
        vit_gnn._check(dims, graph, 16, 2, 4, 1)
    assert str(error.value) == message


def test_an_image_of_other_dimensions_is_refused():
    with pytest.raises(ValueError) as error:
        build(spatial_dims=2)(torch.randn(1, 1, 16, 16, 16))
    assert str(error.value) == (
        "image: this ViTGNN takes 2 spatial axes, got the shape (1, 1, 16, 16, 16). "
        "Fix: pass (b, c, i, j), or another spatial_dims."
    )


def test_tokens_hear_what_convolutions_found_in_the_image():
    model = build(graph="none").eval()
    heard: list[Tensor] = []
    model.layers[0].register_forward_pre_hook(lambda _, inputs: heard.append(inputs[0]))
    with torch.no_grad():
        model.embed.convolution.weight.zero_()
        for image in (torch.zeros(1, 1, 8, 8, 8), torch.randn(1, 1, 8, 8, 8)):
            model(image)
    assert not torch.allclose(*heard)
    torch.testing.assert_close(heard[0].shape, torch.Size((1, 8, 16)))
