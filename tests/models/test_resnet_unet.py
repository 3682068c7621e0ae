"""A ResNet that segments: any planned topology, published weights, exact checkpointing."""

import pytest
import torch

from delineate.models import ResNet, ResNetUNet


def topology(*strides: tuple[int, ...]) -> dict:
    ones = (1,) * len(strides[0])
    stages = len(strides) + 1
    return {
        "features": (4, 6, 8, 8, 8, 8, 8, 8)[:stages],
        "strides": (ones, *strides),
        "kernels": ((3,) * len(ones),) * stages,
        "convolutions": (1,) * stages,
    }


def build(*strides: tuple[int, ...], **rest) -> ResNetUNet:
    torch.manual_seed(0)
    return ResNetUNet(2, 3, **({"depth": 18} | topology(*strides) | rest))


@pytest.mark.parametrize(
    ("strides", "size"),
    [
        (((2, 2),), (6, 2)),
        (((2, 2, 1), (2, 2, 2), (1, 2, 2)), (8, 8, 4)),
        (((2, 2),) * 5, (64, 32)),
        (((2, 2),) * 7, (128, 128)),
    ],
)
def test_logits_have_the_size_of_the_image_for_any_number_of_stages(strides, size):
    assert build(*strides)(torch.randn(2, 2, *size)).logits.shape == (2, 3, *size)


def test_deep_logits_come_finest_first_and_only_while_training():
    model = build((2, 2), (2, 2), (2, 2), deep_supervision=True)
    image = torch.randn(2, 2, 16, 32)
    assert [d.shape[2:] for d in model.train()(image).deep] == [(8, 16), (4, 8)]
    assert model.eval()(image).deep == ()


def test_the_weights_of_a_classifier_load_under_encoder():
    classifier = ResNet(2, 5, spatial_dims=2, depth=50).state_dict()
    model = build((2, 2), (2, 2), depth=50)
    state = {f"encoder.{name}": weight for name, weight in classifier.items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert unexpected == ["encoder.fc.weight", "encoder.fc.bias"]
    assert not [name for name in missing if name.startswith("encoder")]


def test_checkpointing_changes_neither_gradients_nor_running_figures():
    """The recomputation passes each batch normalisation twice."""
    image = torch.randn(4, 2, 16, 8)
    plain, lean = (build((2, 2), (2, 2), checkpointing=c) for c in (False, True))
    for model in (plain, lean):
        for scale in (1, 2):
            model(scale * image).logits.square().mean().backward()
    for a, b in zip(plain.parameters(), lean.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)
    figures = dict(lean.named_buffers())
    for name, figure in plain.named_buffers():
        if "running" in name:
            torch.testing.assert_close(figures[name], figure)


def test_a_size_that_the_strides_do_not_divide_names_the_next_one():
    with pytest.raises(ValueError) as error:
        build((2, 2), (2, 2))(torch.randn(1, 2, 9, 8))
    assert str(error.value) == (
        "image: the size (9, 8) is not divisible by the network's total stride (4, 4). "
        "Fix: pad to (12, 8)."
    )


def test_a_broken_topology_says_what_is_wrong():
    with pytest.raises(ValueError) as error:
        build((2, 2), features=(4,))
    assert str(error.value) == (
        "ResNetUNet: needs one entry per stage, at least two stages; got features 1, strides 2, "
        "kernels 2, convolutions 2."
    )
