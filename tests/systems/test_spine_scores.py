"""Figures of whole data sets, whatever the batches, against scikit-learn and closed forms."""

import pytest
import torch

from delineate.errors import ConfigError
from delineate.systems.spine.learning.agreement import class_rows, mask_rows
from delineate.systems.spine.learning.epoch_figures import EpochFigures
from delineate.systems.spine.learning.old_dice import Dice
from delineate.systems.spine.networks.values import chosen
from delineate.systems.spine.schema.entries import Metric

GENERATOR = torch.Generator().manual_seed(0)
P = torch.rand(7, 1, 6, 6, generator=GENERATOR)
T = (torch.rand(7, 1, 6, 6, generator=GENERATOR) > 0.7).float()
Q = torch.rand(20, 4, generator=GENERATOR).softmax(1)
IDS = torch.arange(20) % 4
ONE_HOT = torch.nn.functional.one_hot(IDS, 4).float()


def of(name: str, kind: str = "segmentation", *, batches: int = 3, alias=None, **params) -> float:
    """The figure of the data, fed in so many batches."""
    p, t, channels = (P, T, 1) if kind == "segmentation" else (Q, ONE_HOT, 4)
    figures = EpochFigures([Metric(name=name, alias=alias, params=params)], kind, channels)
    for some, true in zip(p.chunk(batches), t.chunk(batches), strict=True):
        figures.update("val", some, chosen(some), true)
    found = figures.finish("val", ())
    ((key, (value, _)),) = found.items()
    assert key == f"val_{alias or name.rpartition('.')[2]}"
    return float(value)


def counts() -> tuple[float, float, float]:
    p, t = P > 0.5, T > 0
    return float((p & t).sum()), float((p & ~t).sum()), float((~p & t).sum())


@pytest.mark.parametrize("batches", [1, 7])
def test_dice_and_iou_are_of_the_data_set_not_of_its_batches(batches: int):
    hit, extra, missed = counts()
    dice = 2 * hit / (2 * hit + extra + missed)
    asked = {"num_classes": 2, "ignore_index": 0, "ml_type": "segmentation"}
    assert of("torchmetrics.Dice", batches=batches, **asked) == pytest.approx(dice)
    assert of("torchmetrics.Dice", batches=batches) == pytest.approx(dice)
    iou = hit / (hit + extra + missed)
    found = of("torchmetrics.JaccardIndex", batches=batches, alias="iou", task="binary")
    assert found == pytest.approx(iou)
    rest = P.numel() - hit - extra - missed
    both = (iou + rest / (rest + extra + missed)) / 2
    found = of("torchmetrics.JaccardIndex", task="multiclass", num_classes=2, average="macro")
    assert found == pytest.approx(both)


def test_the_old_dice_counts_the_background_unless_it_is_ignored():
    _, extra, missed = counts()
    right = 1 - (extra + missed) / P.numel()
    assert of("torchmetrics.Dice", num_classes=2) == pytest.approx(right)
    macro = Dice(num_classes=2, average="macro")
    macro.update(torch.tensor([1, 1, 0, 0]), torch.tensor([1, 0, 0, 0]))
    assert float(macro.compute()) == pytest.approx((2 / 3 + 4 / 5) / 2)
    with pytest.raises(ValueError, match="leaves none"):
        Dice(num_classes=1, ignore_index=1)


def test_classes_agree_with_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    true, said = IDS.numpy(), Q.argmax(1).numpy()
    for name, theirs, params in (
        (
            "Accuracy",
            "accuracy_score",
            {"task": "multiclass", "num_classes": 4, "average": "micro"},
        ),
        ("F1Score", "f1_score", {"task": "multiclass", "num_classes": 4, "average": "macro"}),
        ("F1Score", "f1_score", {"num_classes": 4, "average": "weighted"}),
    ):
        how = {"average": params["average"]} if theirs == "f1_score" else {}
        wanted = getattr(metrics, theirs)(true, said, **how)
        assert of(f"torchmetrics.{name}", "classification", **params) == pytest.approx(wanted)
        found = of(f"sklearn.{theirs}", "classification", ml_type="classification", **how)
        assert found == pytest.approx(wanted)
    wanted = metrics.roc_auc_score(true, Q.numpy(), multi_class="ovr")
    assert of("sklearn.roc_auc_score", "classification", multi_class="ovr") == pytest.approx(wanted)
    assert of("torchmetrics.AUROC", "classification") == pytest.approx(wanted, abs=1e-5)


def test_a_figure_of_each_class_is_logged_by_its_name():
    metric = Metric(name="torchmetrics.F1Score", params={"average": "none"}, on_bar=True)
    figures = EpochFigures([metric], "classification", 4)
    figures.update("test", Q, chosen(Q), ONE_HOT)
    found = figures.finish("test", ("T1w", "T2w", "STIR", "PD"))
    assert set(found) == {f"test_F1Score/{name}" for name in ("T1w", "T2w", "STIR", "PD")}
    assert all(on_bar for _, on_bar in found.values())


def test_too_few_classes_in_a_metric_do_not_end_a_training(caplog: pytest.LogCaptureFixture):
    found = of("torchmetrics.Accuracy", "classification", num_classes=2, average="micro")
    assert found == pytest.approx(float((Q.argmax(1) == IDS).float().mean()))
    assert "num_classes is 2, but there are 4 classes" in caplog.text


def test_mistakes_are_told():
    for name, params, text in (
        ("torchmetrics.Acuracy", {}, "Did you mean 'Accuracy'"),
        ("sklearn.f1_scor", {}, "Did you mean 'f1_score'"),
        ("torchmetrics.Accuracy", {"averag": "micro"}, "averag"),
        ("keras.Dice", {}, r"torchmetrics\.X or sklearn\.X"),
    ):
        with pytest.raises(ConfigError, match=text):
            of(name, **params)
    twice = [Metric(name="torchmetrics.Dice"), Metric(name="torchmetrics.Dice")]
    with pytest.raises(ConfigError, match="give an alias"):
        EpochFigures(twice, "segmentation", 1)


class Part:
    def __init__(self, name: str) -> None:
        self.id, self.dataset, self.input_path = name, "d", f"{name}.png"


def test_every_slice_has_its_row():
    ids, true = torch.tensor([[[1, 1], [0, 0]], [[0, 0], [0, 0]]]), torch.zeros(2, 2, 2).long()
    true[0, 0, 0] = true[0, 1, 1] = 1
    rows = mask_rows(ids, true, [Part("a"), Part("b")])
    assert rows["a"]["dice"] == 0.5
    assert rows["a"]["iou"] == pytest.approx(1 / 3)
    assert rows["b"]["dice"] == rows["b"]["iou"] == 1
    rows = class_rows(Q[:1], IDS[:1], [Part("a")], ("w", "x", "y", "z"))
    assert rows["a"]["class"] == "w"
    assert rows["a"]["p_z"] == pytest.approx(float(Q[0, 3]), abs=1e-6)
