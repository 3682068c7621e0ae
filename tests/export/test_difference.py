"""An export is written only if it computes what the trained network does."""

import pytest
import torch
from torch import nn

from delineate.export import ExportDiffers
from delineate.export.difference import measure, refuse_far
from delineate.export.scores import Scores

BATCHES = (torch.randn(1, 3, 4, 4, 4), torch.randn(3, 3, 4, 4, 4))
EXCLUSIVE = Scores(network=nn.Identity(), kind="logits", threshold=None)
OVERLAPPING = Scores(network=nn.Identity(), kind="probabilities", threshold=0.5)


def test_the_same_network_differs_nowhere():
    found = measure(EXCLUSIVE, lambda x: x, BATCHES, "noise")
    assert (found.largest, found.changed, found.voxels) == (0.0, 0, 4 * 64)
    assert found.scale == max(batch.abs().max().item() for batch in BATCHES)
    refuse_far(found, "model.onnx")


@pytest.mark.parametrize("scores", [EXCLUSIVE, OVERLAPPING])
def test_a_voxel_whose_class_changes_is_counted_once(scores: Scores):
    def swap(x: torch.Tensor) -> torch.Tensor:
        x = x.clone()
        # One voxel of each case; class 1 wins, or both classes are there.
        x[:, :, 0, 0, 0] = torch.tensor([-9.0, 9.0, 9.0])
        return x

    batches = [torch.zeros(2, 3, 4, 4, 4)]
    batches[0][:, 0] = 0.1
    found = measure(scores, swap, batches, "noise")
    assert (found.changed, found.voxels) == (2, 128)
    assert found.largest == pytest.approx(9.1)


def test_rounding_is_tolerated_and_more_is_not():
    near = measure(EXCLUSIVE, lambda x: x * (1 + 1e-5), BATCHES, "noise")
    refuse_far(near, "model.onnx")
    far = measure(EXCLUSIVE, lambda x: x * 1.01, BATCHES, "noise")
    with pytest.raises(ExportDiffers, match=r"model\.onnx: not written.*largest difference"):
        refuse_far(far, "model.onnx")


def test_a_shift_that_changes_classes_is_refused_however_small():
    close = torch.zeros(1, 2, 8, 8, 8)
    close[0, 0, 0, 0, 0] = 100.0

    def tip(x: torch.Tensor) -> torch.Tensor:
        return x + torch.tensor([0.0, 0.01]).view(1, 2, 1, 1, 1)

    with pytest.raises(ExportDiffers, match="the class changes in 511 of 512 voxels"):
        refuse_far(measure(EXCLUSIVE, tip, [close], "noise"), "m")


def test_no_value_is_no_rounding():
    found = measure(EXCLUSIVE, lambda x: x * float("nan"), BATCHES, "noise")
    assert found.largest == float("inf")
    with pytest.raises(ExportDiffers):
        refuse_far(found, "m")


def test_another_shape_is_refused():
    with pytest.raises(ExportDiffers, match=r"gives \(1, 2, 4, 4, 4\) for \(1, 3, 4, 4, 4\)"):
        measure(EXCLUSIVE, lambda x: x[:, :2], BATCHES, "noise")


def test_the_difference_can_be_read_aloud():
    text = str(measure(EXCLUSIVE, lambda x: x, (torch.ones(1, 2, 2, 2),), "windows of a scan"))
    assert text == (
        "largest difference 0 of scores up to 1; the class changes in 0 of 4 voxels (0 %), "
        "on windows of a scan"
    )
