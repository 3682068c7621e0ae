"""What every U-shaped network owes: sizes, deep logits, checkpointing, and plain messages."""

import pytest
import torch

from delineate.models import AttentionUNet, LightUNet, ResidualUNet, SegResNet, UNet

NETWORKS = {
    UNet: {"convolutions": (2, 2, 2)},
    AttentionUNet: {"convolutions": (2, 2, 2)},
    LightUNet: {"convolutions": (2, 2, 2)},
    ResidualUNet: {"blocks": (1, 2, 2)},
    SegResNet: {"blocks": (1, 2, 2)},
}
STRIDES = {2: ((1, 1), (2, 2), (2, 1)), 3: ((1, 1, 1), (2, 2, 1), (2, 2, 2))}
KERNELS = {2: ((3, 3),) * 3, 3: ((3, 3, 1), (3, 3, 3), (3, 3, 3))}
SIZES = {2: (16, 12), 3: (8, 8, 6)}
every_network = pytest.mark.parametrize("kind", NETWORKS)
every_dimension = pytest.mark.parametrize("dims", [2, 3])


def build(kind, dims, **rest):
    torch.manual_seed(0)
    form = {"features": (8, 16, 24), "strides": STRIDES[dims], "kernels": KERNELS[dims]}
    network = kind(2, 3, **(form | NETWORKS[kind] | rest))
    for parameter in network.parameters():
        if parameter.dim() == 1:  # norms that start at zero would hide what lies behind them
            torch.nn.init.normal_(parameter, 1, 0.2)
    return network


@every_network
@every_dimension
def test_logits_have_the_size_of_the_image_and_deep_ones_come_finest_first(kind, dims):
    network = build(kind, dims, deep_supervision=True)
    image = torch.randn(2, 2, *SIZES[dims])

    trained, used = network.train()(image), network.eval()(image)

    half = tuple(n // s for n, s in zip(SIZES[dims], STRIDES[dims][1], strict=True))
    assert trained.logits.shape == (2, 3, *SIZES[dims])
    assert [d.shape for d in trained.deep] == [(2, 3, *half)]
    assert used.deep == ()
    torch.testing.assert_close(used.logits, trained.logits)


@every_network
def test_without_deep_supervision_only_the_heads_of_coarser_stages_are_missing(kind):
    with_deep, without = (
        set(build(kind, 3, deep_supervision=d).state_dict()) for d in (True, False)
    )

    assert without < with_deep
    assert {name.split(".")[0] for name in with_deep - without} == {"heads"}


@every_network
@every_dimension
def test_a_batch_equals_its_cases_one_by_one(kind, dims):
    network = build(kind, dims).double()
    image = torch.randn(2, 2, *SIZES[dims], dtype=torch.double)

    together = network(image).logits

    for case, alone in zip(together, image, strict=True):
        torch.testing.assert_close(network(alone[None]).logits[0], case)


@every_network
@every_dimension
def test_checkpointing_changes_no_gradient_and_keeps_less_for_the_backward_pass(kind, dims):
    image = torch.randn(1, 2, *(2 * n for n in SIZES[dims]))
    plain, lean = (build(kind, dims, deep_supervision=True, checkpointing=c) for c in (False, True))

    kept = [_backward_keeping(network, image) for network in (plain, lean)]

    for a, b in zip(plain.parameters(), lean.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)
    assert kept[1] < 0.4 * kept[0]


def _backward_keeping(network, image) -> int:
    """Do both passes; the bytes of the activations that the first keeps for the second."""
    weights = {p.untyped_storage().data_ptr() for p in network.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage  # held, so that no other takes its place
        return tensor

    # What a stage returns goes into the next one: no hook sees it where that one is recomputed.
    watched = [
        stage.register_forward_hook(lambda module, inputs, output: keep(output))
        for stage in (*network.encoder, *network.decoder)
    ]
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = network(image)
    for hook in watched:
        hook.remove()
    size = sum(s.nbytes() for pointer, s in kept.items() if pointer not in weights)
    sum(t.square().mean() for t in (output.logits, *output.deep)).backward()
    return size


@every_network
def test_sixteen_bit_autocast_works_on_the_cpu(kind):
    network = build(kind, 3, deep_supervision=True)

    with torch.autocast("cpu", torch.bfloat16):
        output = network(torch.randn(1, 2, *SIZES[3]))
    output.logits.float().square().mean().backward()

    assert output.logits.dtype == torch.bfloat16
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


@every_network
def test_a_size_that_the_strides_do_not_divide_names_the_next_one(kind):
    with pytest.raises(ValueError) as error:
        build(kind, 3)(torch.randn(1, 2, 9, 8, 7))
    assert str(error.value) == (
        "image: the size (9, 8, 7) is not divisible by the network's total stride (4, 4, 2). "
        "Fix: pad to (12, 8, 8)."
    )


@every_network
def test_an_image_of_the_wrong_dimension_is_refused(kind):
    with pytest.raises(ValueError) as error:
        build(kind, 3)(torch.randn(1, 2, 8, 8))
    assert str(error.value) == (
        f"image: this {kind.__name__} takes 3 spatial axes, got the shape (1, 2, 8, 8). "
        "Fix: pass (b, c, i, j, k)."
    )


@every_network
def test_a_topology_of_unequal_lengths_is_refused_in_the_networks_name(kind):
    (count,) = NETWORKS[kind]
    with pytest.raises(ValueError) as error:
        build(kind, 3, features=(8, 16))
    assert str(error.value) == (
        f"{kind.__name__}: needs one entry per stage, at least two stages; "
        f"got features 2, strides 3, kernels 3, {count} 3."
    )
