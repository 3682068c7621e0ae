"""What pruning takes away, what it must leave, and what it goes by."""

import pytest
import torch
from torch import nn

from delineate.models import PlainUNet, STAMPUNet

both_dimensions = pytest.mark.parametrize("dims", [2, 3])
both_forms = pytest.mark.parametrize("batch_norm", [False, True])


def build(dims: int = 2, **rest) -> STAMPUNet:
    torch.manual_seed(0)
    defaults = {"init_features": 3, "depth": 2, "batch_norm": True, "dropout": 0.0}
    return STAMPUNet(1, 2, spatial_dims=dims, **(defaults | rest))


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def image(dims: int = 2) -> torch.Tensor:
    return torch.randn(2, 1, *(8, 12, 8)[:dims], generator=torch.Generator().manual_seed(1))


def silenced(network: nn.Module, removed: dict[str, list[int]]) -> None:
    """Put zero for every removed filter where the network is whole."""

    def hook(channels):
        def zero(module, inputs, output):
            output = output.clone()
            output[:, channels] = 0
            return output

        return zero

    for name, channels in removed.items():
        network.get_submodule(name).register_forward_hook(hook(channels))


def chosen(network: STAMPUNet, **lowest: tuple[int, ...]) -> dict[str, torch.Tensor]:
    """Importances of which those of the given filters are zero."""
    scores = {name: torch.ones(width) for name, width in network.widths.items()}
    for name, indices in lowest.items():
        scores[name.replace("_", ".")][list(indices)] = 0
    return scores


def test_it_is_the_plain_unet_until_it_is_pruned():
    assert count(STAMPUNet(1, 1, init_features=16, batch_norm=True)) == 1_942_299
    ours = build(init_features=4)
    plain = PlainUNet(1, 2, init_features=4, depth=2, batch_norm=True)
    plain.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours(image()).logits, plain(image()).logits)


@both_dimensions
@both_forms
@pytest.mark.parametrize("layer", list(build().widths))
def test_a_pruned_network_computes_what_the_whole_one_does_with_that_channel_at_zero(
    layer, dims, batch_norm
):
    whole, pruned = (build(dims, batch_norm=batch_norm) for _ in range(2))
    result = pruned.prune(chosen(pruned, **{layer.replace(".", "_"): (1,)}))
    assert result.removed == {layer: [1]}
    silenced(whole, result.removed)
    torch.testing.assert_close(pruned(image(dims)).logits, whole(image(dims)).logits)
    assert count(pruned) < count(whole)


@both_dimensions
def test_many_filters_at_once_across_skips_too(dims):
    whole, pruned = build(dims), build(dims)
    result = pruned.prune(pruned.importance("L2"), 30)
    assert sum(map(len, result.removed.values())) == 30
    silenced(whole, result.removed)
    torch.testing.assert_close(pruned(image(dims)).logits, whole(image(dims)).logits)


def test_filters_that_say_nothing_leave_the_function_as_it_was():
    network = build(batch_norm=False)
    with torch.no_grad():
        for name, index in (("encoder.1.0", 2), ("decoder.0.1", 0)):
            network.get_submodule(name).convolution.weight[index] = 0
    before = network(image()).logits
    result = network.prune(network.importance("L1"), 2)
    assert result.removed == {"encoder.1.0": [2], "decoder.0.1": [0]}
    torch.testing.assert_close(network(image()).logits, before)


def test_every_layer_keeps_one_filter_and_more_is_refused():
    network = build()
    most = sum(width - 1 for width in network.widths.values())
    network.prune(network.importance("L2"), most)
    assert set(network.widths.values()) == {1}
    assert network(image()).logits.shape == (2, 2, 8, 12)
    with pytest.raises(ValueError) as error:
        network.prune(network.importance("L2"))
    assert str(error.value) == "prune: 1 filters are to go, but of these layers 0 can."
    with pytest.raises(ValueError, match=r"prune: head has no such filters"):
        network.prune({"head": torch.ones(2)})


@both_forms
def test_taylor_is_the_activation_times_its_gradient_summed(batch_norm):
    network, kept = build(batch_norm=batch_norm, dropout=0.3), {}

    def hold(name):
        def keep(module, inputs, output):
            output.retain_grad()
            kept[name] = output

        return keep

    for name in network.widths:
        network.get_submodule(name).register_forward_hook(hold(name))
    network(image()).logits.square().mean().backward()
    for name, scores in network.importance("Taylor").items():
        product = kept[name].detach() * kept[name].grad
        expected = product.sum((0, 2, 3)).abs()
        torch.testing.assert_close(scores, expected, rtol=1e-3, atol=1e-6)


def test_taylor_without_a_gradient_says_so():
    with pytest.raises(ValueError) as error:
        build().importance("Taylor")
    assert str(error.value) == (
        "importance: encoder.0.0 has no gradient. Fix: call backward() on a loss first."
    )


def test_norms_are_those_of_a_filter_and_layers_compare_by_their_own_norm():
    network = build()
    up = network.up[0].weight.detach()
    torch.testing.assert_close(network.importance("L2")["up.0"], up.square().sum((0, 2, 3)).sqrt())
    torch.testing.assert_close(network.importance("L1")["up.0"], up.abs().sum((0, 2, 3)))
    scores = {"up.0": torch.tensor([1.0, 1, 1]), "encoder.0.0": torch.tensor([90.0, 50, 90])}
    assert network.prune(scores).removed == {"encoder.0.0": [1]}


def test_its_structure_builds_the_pruned_network_again():
    network = build()
    scores = network.importance("L2")
    network.target_dropout(scores)
    network.prune(scores, 20)
    again = build(**network.structure())
    again.load_state_dict(network.state_dict())
    torch.testing.assert_close(again.eval()(image()).logits, network.eval()(image()).logits)
    assert again.structure() == network.structure()


def test_layers_that_rank_low_are_silenced_more_often():
    network = build()
    scores = {name: torch.full((n,), 9.0) for name, n in network.widths.items() if "up" not in name}
    scores["encoder.2.1"] = torch.zeros(12)
    network.target_dropout(scores, base=0.2)
    rates = network.structure()["dropout"]
    assert max(rates, key=rates.get) == "encoder.2.1"
    assert rates["encoder.2.1"] == 0.2
    # Equal importances per layer: a wide layer's filters weigh less in it, so they go sooner.
    assert rates["encoder.0.0"] < rates["encoder.1.0"] < rates["encoder.2.0"]


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.SGD])
def test_an_optimiser_goes_on_with_the_moments_of_what_is_left(kind):
    network = build()
    options = {"momentum": 0.9} if kind is torch.optim.SGD else {}
    optimizer = kind(network.parameters(), lr=0.01, **options)
    network(image()).logits.square().mean().backward()
    optimizer.step()
    key = "momentum_buffer" if options else "exp_avg"
    old = network.up[0].weight
    moment = optimizer.state[old][key]

    pruning = network.prune(chosen(network, up_0=(1,)))
    pruning.adapt(optimizer)

    new = network.up[0].weight
    torch.testing.assert_close(optimizer.state[new][key], moment[:, [0, 2]])
    assert old not in optimizer.state
    trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert trained == {id(p) for p in network.parameters()}
    before = new.detach().clone()
    optimizer.zero_grad()
    network(image()).logits.square().mean().backward()
    optimizer.step()
    assert all(p.grad is not None for p in network.parameters())
    assert not torch.equal(new, before)


def test_a_pruned_network_runs_in_half_precision_on_any_size():
    network = build().eval()
    network.prune(network.importance("L2"), 15)
    odd = torch.rand(1, 1, 9, 7)
    with torch.no_grad():
        exact = network(odd).logits
        with torch.autocast("cpu", torch.bfloat16):
            rough = network(odd).logits
    assert rough.shape == (1, 2, 9, 7)
    torch.testing.assert_close(rough.float(), exact, rtol=0.1, atol=0.1)


def test_widths_and_rates_of_no_layer_are_refused():
    with pytest.raises(ValueError, match="STAMPUNet: widths must lie in 1 to"):
        build(widths={"encoder.0.0": 4})
    with pytest.raises(ValueError, match=r"dropout is a rate in \[0, 1\) for each of encoder.0.0"):
        build(dropout={"up.0": 0.1})
