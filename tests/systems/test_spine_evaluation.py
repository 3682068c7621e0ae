"""A checkpoint is measured on the slices that its data say, with classes where it learned them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from delineate.errors import DataError
from delineate.systems.spine.prediction import evaluation
from delineate.systems.spine.samples.batch import SliceBatch

EXPERIMENT: Any = SimpleNamespace(path=Path("experiment.yaml"))


def trained(task: str = "classification", classes: tuple[str, ...] | None = ("a", "b", "c")) -> Any:
    return SimpleNamespace(task=task, classes=classes)


def loaders(**facts: Any) -> Any:
    usual = {"task": "classification", "classes": ("a", "b", "c"), "val": None, "test": []}
    return SimpleNamespace(**{**usual, **facts})


def test_classes_of_the_data_stand_where_the_network_has_them():
    label = torch.eye(2)[[0, 1, 1]]
    batch = SliceBatch(image=torch.zeros(3, 1, 2, 2), label=label, slices=())
    held = loaders(classes=("c", "a"), test=[batch])
    found = evaluation._batches(held, trained(), "test", EXPERIMENT)
    assert len(found) == 1
    (one,) = found
    assert one.label.tolist() == [[0, 0, 1], [1, 0, 0], [1, 0, 0]]
    same = loaders(test=[batch])
    assert evaluation._batches(same, trained(), "test", EXPERIMENT) is same.test


@pytest.mark.parametrize(
    ("held", "phase", "said"),
    [
        (loaders(task="segmentation"), "test", "its data are for segmentation, but the checkpoint"),
        (loaders(), "val", "no slices of phase val. Fix: --phase test"),
        (
            loaders(classes=("a", "knee")),
            "test",
            "1 classes that the network never saw, such as kn",
        ),
    ],
)
def test_data_of_another_kind_are_refused(held: Any, phase: Any, said: str):
    with pytest.raises(DataError, match=f"experiment.yaml: .*{said}"):
        evaluation._batches(held, trained(), phase, EXPERIMENT)


def test_channels_of_masks_and_outputs_of_classes_have_names():
    masks = trained("segmentation", None)
    assert evaluation._names(masks, 2) == ["background", "foreground"]
    assert evaluation._names(masks, 3) == ["background", "class_1", "class_2"]
    assert evaluation._names(trained(), 4) == ["a", "b", "c", "3"]
