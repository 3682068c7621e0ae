"""Figures of a whole data set, by the names of torchmetrics and scikit-learn.

Every figure is computed once an epoch from all its slices, never as a mean over batches. Masks are
compared as ids (foreground above 0.5, or the likeliest class), images by their likeliest class;
figures that need probabilities, such as AUROC, get them.

    torchmetrics.X    any metric of it; without a `task` one is chosen by the data
    torchmetrics.Dice the figure of that name before torchmetrics 1.6; see `Dice`
    sklearn.X         any function of sklearn.metrics on (truth, prediction)
"""

import logging
from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

import torch
import torchmetrics
from torch import Tensor
from torchmetrics import classification
from torchmetrics.utilities.data import dim_zero_cat

from delineate.config.arguments import wrong_arguments
from delineate.config.words import did_you_mean
from delineate.errors import ConfigError, require
from delineate.systems.spine.learning.old_dice import Dice
from delineate.systems.spine.schema.entries import Metric

__all__ = ["DEFAULTS", "Figure", "build_figures", "needs_probabilities"]

log = logging.getLogger("delineate")

DEFAULTS = {
    "segmentation": (
        Metric(name="torchmetrics.Dice", params={"num_classes": 2, "ignore_index": 0}, on_bar=True),
        Metric(name="torchmetrics.JaccardIndex", alias="iou", params={"task": "binary"}),
    ),
    "classification": (
        Metric(name="torchmetrics.Accuracy", params={"average": "micro"}, on_bar=True),
        Metric(name="torchmetrics.F1Score", alias="f1_macro", params={"average": "macro"}),
    ),
}
"""Of an experiment that names none."""
IGNORED = {"ml_type", "mdmc_average", "multiclass", "dist_sync_on_step", "compute_on_step"}
"""Arguments of earlier versions that say nothing here."""
BY_PROBABILITY = ("AUROC", "AveragePrecision", "CalibrationError", "HingeLoss", "EER", "LogAUC")
SK_BY_PROBABILITY = ("roc_auc_score", "average_precision_score", "log_loss", "brier_score_loss")
SK_BY_PROBABILITY += ("top_k_accuracy_score",)
THRESHOLDS = 200
"""At which figures over all pixels are evaluated, in place of every value there is."""
Figure = torchmetrics.Metric


class OfScikit(torchmetrics.Metric):
    """A function of sklearn.metrics, of all predictions and the truth."""

    full_state_update = False
    higher_is_better = None
    preds: list[Tensor]
    truth: list[Tensor]

    def __init__(self, name: str, params: Mapping[str, Any]) -> None:
        super().__init__()
        metrics: Any = require("sklearn.metrics", extra="albumentations")
        known = [n for n in dir(metrics) if n.endswith(("_score", "_loss", "_error", "_coef"))]
        if not callable(getattr(metrics, name, None)):
            raise ConfigError(
                f"sklearn.metrics has no '{name}'.{did_you_mean(name, known)} It has: "
                f"{', '.join(known)}."
            )
        self.function = getattr(metrics, name)
        self.params = dict(params)
        unknown = self.params.keys() - signature(self.function).parameters.keys()
        if unknown:
            raise ConfigError(f"metric sklearn.{name}: unknown argument '{min(unknown)}'.")
        self.add_state("preds", [], dist_reduce_fx="cat")
        self.add_state("truth", [], dist_reduce_fx="cat")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Keep ids, or probabilities (b, k, ...), and true ids."""
        if preds.dim() == target.dim() + 1:
            preds = preds.movedim(1, -1).flatten(0, -2)
        else:
            preds = preds.flatten()
        ids = target.flatten().short()
        self.preds.append(
            preds.detach().cpu() if preds.is_floating_point() else preds.short().cpu()
        )
        self.truth.append(ids.cpu())

    def compute(self) -> Tensor:
        """The function of everything that was kept; nan where it is not defined."""
        truth, preds = dim_zero_cat(self.truth).numpy(), dim_zero_cat(self.preds).numpy()
        try:
            return torch.tensor(float(self.function(truth, preds, **self.params)))
        except ValueError as error:
            log.warning("%s: %s", self.function.__name__, str(error).splitlines()[0])
            return torch.tensor(float("nan"))


def build_figures(
    metrics: Sequence[Metric], task: str, channels: int, phase: str
) -> dict[str, Figure]:
    """The figures of a phase by the name they are logged under; two of one name are an error."""
    found: dict[str, Figure] = {}
    for metric in metrics or DEFAULTS[task]:
        if phase not in metric.phase:
            continue
        if metric.label in found or metric.label == "loss":
            raise ConfigError(f"metric: two are called '{metric.label}'. Fix: give an alias.")
        found[metric.label] = _build(metric, task, channels)
    return found


def needs_probabilities(figure: Figure) -> bool:
    """Whether it looks at probabilities and not at the chosen class."""
    if isinstance(figure, OfScikit):
        return figure.function.__name__ in SK_BY_PROBABILITY
    if isinstance(figure, Dice):
        return False
    return type(figure).__name__.endswith(BY_PROBABILITY) or getattr(figure, "top_k", 1) > 1


def _build(metric: Metric, task: str, channels: int) -> Figure:
    library, _, name = metric.name.partition(".")
    name = name.rpartition(".")[2]
    params = {k: v for k, v in metric.params.items() if k not in IGNORED and v is not None}
    if metric.params.get("ml_type") not in (None, task):
        log.warning("metric %s: ml_type is %s, the data are for %s.", metric.name,
                    metric.params["ml_type"], task)  # fmt: skip
    if library in ("sklearn", "scikit-learn"):
        params.pop("task", None)
        return OfScikit(name, params)
    if library != "torchmetrics" or not name:
        raise ConfigError(
            f"metric '{metric.name}' is of no known library. Fix: torchmetrics.X or sklearn.X."
        )
    if name == "Dice":
        if (params.get("num_classes") or 1) > 1 or channels > 1:
            params["num_classes"] = _at_least(params.get("num_classes"), max(2, channels))
        return _called(Dice, metric, {k: v for k, v in params.items() if k != "task"})
    maker = getattr(torchmetrics, name, None) or getattr(classification, name, None)
    known = sorted({*classification.__all__, "Dice"})
    if not isinstance(maker, type):
        raise ConfigError(
            f"torchmetrics has no '{name}'.{did_you_mean(name, known)} It has: {', '.join(known)}."
        )
    return _called(maker, metric, _with_task(maker, params, task, channels))


def _with_task(maker: type, params: dict[str, Any], task: str, channels: int) -> dict[str, Any]:
    """The arguments with the task that versions before 0.11 had not."""
    wanted = signature(maker.__new__).parameters
    if "task" not in wanted:
        return params
    params = dict(params)
    classes = params.get("num_classes")
    if "task" not in params:
        binary = classes in (None, 1) and channels == 1
        params["task"] = "binary" if binary else "multiclass"
    if params["task"] == "binary" and channels > 2:
        raise ConfigError(f"metric: task is binary, but there are {channels} classes.")
    if params["task"] == "multiclass":
        params["num_classes"] = _at_least(classes, max(2, channels))
    if params["task"] == "multilabel":
        params.setdefault("num_labels", channels)
    if params["task"] == "binary":
        for name in ("num_classes", "average", "top_k"):
            params.pop(name, None)
    params.setdefault("validate_args", False)  # ids are ours, and looking at them takes time
    if "thresholds" in wanted and task == "segmentation":
        params.setdefault("thresholds", THRESHOLDS)
    return params


def _at_least(said: int | None, classes: int) -> int:
    """As many classes as there are, where a metric says less."""
    if said is not None and said < classes:
        log.warning("metric: num_classes is %d, but there are %d classes.", said, classes)
    return max(said or 0, classes)


def _called(maker: type, metric: Metric, params: Mapping[str, Any]) -> Figure:
    inner = getattr(maker, "__new__", maker)
    named = maker.__init__ if inner is object.__new__ else inner
    wrong = [text for _, text in wrong_arguments(named, params, {"self", "cls", "args"})]
    if wrong:
        raise ConfigError("\n".join(f"metric {metric.name}: {text}" for text in wrong))
    try:
        return maker(**params)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"metric {metric.name} refuses its params: {error}") from None
