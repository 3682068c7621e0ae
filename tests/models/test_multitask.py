"""One encoder, masks and classes of the image."""

import pytest
import torch

from delineate.models import MultiTaskUNet, UNet

TOPOLOGY = {
    "features": (4, 6),
    "strides": ((1, 1), (2, 2)),
    "kernels": ((3, 3), (3, 3)),
    "convolutions": (2, 1),
}


def build(**rest) -> MultiTaskUNet:
    torch.manual_seed(0)
    return MultiTaskUNet(2, 3, **TOPOLOGY, presence=5, **rest)


def test_the_mask_is_that_of_the_unet_with_the_same_weights():
    image = torch.randn(2, 2, 8, 6)
    model, unet = build(deep_supervision=True), UNet(2, 3, **TOPOLOGY, deep_supervision=True)
    extra = unet.load_state_dict(model.state_dict(), strict=False).unexpected_keys
    assert extra == ["presence.weight", "presence.bias"]
    assert torch.equal(model(image).logits, unet(image).logits)


def test_presence_is_linear_in_mean_and_maximum_of_the_coarsest_features():
    model, image = build(), torch.randn(2, 2, 8, 6)
    coarsest = model.encode(image)[-1]
    pooled = torch.cat((coarsest.mean((2, 3)), coarsest.amax((2, 3))), 1)
    expected = pooled @ model.presence.weight.T + model.presence.bias
    torch.testing.assert_close(model(image).presence, expected)


@pytest.mark.parametrize("part", ["logits", "presence"])
def test_either_answer_alone_trains_the_encoder(part):
    model = build()
    getattr(model(torch.randn(2, 2, 8, 6)), part).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in model.encoder[0][0].convolution.parameters())


def test_three_dimensions_and_checkpointing():
    cubes = {"strides": ((1,) * 3, (2,) * 3), "kernels": ((3,) * 3,) * 2}
    torch.manual_seed(0)
    model = MultiTaskUNet(1, 2, **(TOPOLOGY | cubes), presence=1, checkpointing=True)
    output = model(torch.randn(1, 1, 4, 4, 6))
    assert output.logits.shape == (1, 2, 4, 4, 6)
    assert output.presence.shape == (1, 1)
