"""Networks from elsewhere: what they return becomes an Output."""

import pytest
import torch

from delineate.contracts import Output
from delineate.models import as_output


def test_a_plain_tensor_is_the_logits():
    logits = torch.randn(1, 2, 4, 4)
    assert as_output(logits).logits is logits


def test_a_list_is_full_resolution_then_deep():
    fine, half, quarter = (torch.randn(1, 2, s, s) for s in (8, 4, 2))
    output = as_output([fine, half, quarter])
    assert output.logits is fine
    assert output.deep == (half, quarter)


def test_an_output_passes_through():
    output = Output(logits=None)
    assert as_output(output) is output


def test_a_matrix_is_the_logits_of_the_image():
    scores = torch.randn(2, 5)
    output = as_output(scores, torch.randn(2, 1, 8, 8))
    assert output.presence is scores
    assert output.logits is None


@pytest.mark.parametrize("size", [(8, 4), (8, 4, 2)])
def test_one_axis_too_many_after_the_batch_holds_the_logits_of_deep_supervision(size):
    stacked = torch.randn(2, 3, 5, *size)
    output = as_output(stacked, torch.randn(2, 1, *size))
    assert torch.equal(output.logits, stacked[:, 0])
    assert [torch.equal(d, stacked[:, i]) for i, d in enumerate(output.deep, 1)] == [True, True]


def test_a_mapping_is_read_by_the_names_of_output_and_of_torchvision():
    logits, aux, scores, gate = (torch.randn(1, k, 4, 4) for k in (2, 2, 3, 1))
    scores = scores[..., 0, 0]
    output = as_output({"out": logits, "aux": aux, "presence": scores, "gate": gate, "loss": None})
    assert output.logits is logits
    assert output.deep == (aux,)
    assert output.presence is scores
    assert output.extra == {"gate": gate}


def test_logits_at_another_resolution_are_refused():
    with pytest.raises(ValueError) as error:
        as_output(torch.randn(1, 2, 4, 4), torch.randn(1, 1, 16, 16))
    assert str(error.value) == (
        "the network returned logits of (4, 4) voxels for an image of (16, 16). Fix: a network or "
        "an argument of it that keeps the resolution; of several logits, the finest first."
    )


def test_features_beside_logits_are_refused():
    with pytest.raises(ValueError) as error:
        as_output((torch.randn(1, 2, 8, 8), torch.randn(1, 64, 4, 4)), torch.randn(1, 1, 8, 8))
    assert str(error.value) == (
        "the network returned coarser logits of the shape (1, 64, 4, 4) beside logits of "
        "(1, 2, 8, 8). Fix: as many classes at every resolution; features are not logits."
    )


@pytest.mark.parametrize(
    ("result", "what"),
    [
        ({"mask": 1}, "a dict of mask"),
        ({}, "a dict of nothing"),
        ((), "a tuple of nothing"),
        ([1, 2], "a list of int"),
        (None, "a NoneType"),
    ],
)
def test_anything_else_says_what_to_return(result, what):
    with pytest.raises(ValueError) as error:
        as_output(result)
    assert str(error.value) == (
        f"the network returned {what}. Fix: return the logits (b, k, *s), a list of logits with "
        "the full resolution first, a dict with 'out' or 'presence', or a "
        "delineate.contracts.Output."
    )


MONAI = {
    "UNet": {"channels": (4, 8, 16), "strides": (2, 2)},
    "AttentionUnet": {"channels": (4, 8, 16), "strides": (2, 2)},
    "SegResNet": {"init_filters": 8},
    "SegResNetDS": {"init_filters": 8, "dsdepth": 2},
    "SwinUNETR": {"feature_size": 12},
    "UNETR": {"img_size": 64, "feature_size": 4, "hidden_size": 24, "mlp_dim": 24, "num_heads": 2},
    "DynUNet": {
        "kernel_size": (3, 3, 3),
        "strides": (1, 2, 2),
        "upsample_kernel_size": (2, 2),
        "filters": (4, 4, 4),
        "deep_supervision": True,
        "deep_supr_num": 1,
    },
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", MONAI)
def test_networks_of_monai_give_logits_at_the_image(name, training):
    nets = pytest.importorskip("monai.networks.nets")
    network = getattr(nets, name)(spatial_dims=2, in_channels=1, out_channels=3, **MONAI[name])
    image = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        output = as_output(network.train(training)(image), image)
    assert output.logits.shape == (2, 3, 64, 64)
    assert len(output.deep) == (training and name in ("DynUNet", "SegResNetDS"))


def test_a_classifier_of_timm_gives_logits_of_the_image():
    timm = pytest.importorskip("timm")
    network = timm.create_model("resnet18", in_chans=1, num_classes=4)
    image = torch.randn(2, 1, 32, 32)
    assert as_output(network(image), image).presence.shape == (2, 4)


def test_a_segmentation_network_of_torchvision_gives_logits_at_the_image():
    segmentation = pytest.importorskip("torchvision.models.segmentation")
    network = segmentation.lraspp_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=4
    )
    image = torch.randn(2, 3, 32, 32)
    assert as_output(network(image), image).logits.shape == (2, 4, 32, 32)
