"""The figures of an experiment, gathered over the slices of an epoch, phase by phase."""

from collections.abc import Sequence

from torch import Tensor, nn

from delineate.systems.spine.learning.agreement import both_sides
from delineate.systems.spine.learning.scores import (
    DEFAULTS,
    Figure,
    build_figures,
    needs_probabilities,
)
from delineate.systems.spine.networks.values import chosen
from delineate.systems.spine.schema.entries import PHASES, Metric

__all__ = ["EpochFigures"]


class EpochFigures(nn.Module):
    """Figures of whole data sets, over all processes of a training.

    Args:
        metrics: As the experiment names them; none takes the usual ones of the task.
        task: What is measured, masks or classes.
        channels: Of the network.
    """

    def __init__(self, metrics: Sequence[Metric], task: str, channels: int) -> None:
        super().__init__()
        metrics = metrics or DEFAULTS[task]
        self.on_bar = frozenset(metric.label for metric in metrics if metric.on_bar)
        # A list, since a module cannot have the name of every figure.
        self.labels = {p: tuple(build_figures(metrics, task, channels, p)) for p in PHASES}
        for phase in PHASES:
            figures = build_figures(metrics, task, channels, phase)
            setattr(self, phase + "_figures", nn.ModuleList(figures.values()))

    def of(self, phase: str) -> dict[str, Figure]:
        """The figures of a phase by their names."""
        return dict(zip(self.labels[phase], getattr(self, phase + "_figures"), strict=True))

    def update(self, phase: str, probabilities: Tensor, ids: Tensor, truth: Tensor) -> None:
        """Take a batch: probabilities and truth (b, k, ...), chosen ids (b, ...)."""
        true = chosen(truth)
        for figure in self.of(phase).values():
            if not needs_probabilities(figure):
                figure.update(ids, true)
            elif type(figure).__name__.startswith("Binary"):
                figure.update(both_sides(probabilities)[:, 1], true)
            elif type(figure).__name__.startswith("Multilabel"):
                figure.update(probabilities, truth.long())
            else:
                figure.update(both_sides(probabilities), true)

    def finish(self, phase: str, classes: Sequence[str]) -> dict[str, tuple[Tensor, bool]]:
        """The values by {phase}_{name}, and whether each is for the bar; the next epoch is empty.

        A figure of each class has several: {phase}_{name}/{class}.
        """
        found: dict[str, tuple[Tensor, bool]] = {}
        for label, figure in self.of(phase).items():
            value, on_bar = figure.compute().float(), label in self.on_bar
            figure.reset()
            if value.numel() == 1:
                found[f"{phase}_{label}"] = (value.reshape(()), on_bar)
            elif value.dim() == 1:
                for k, each in enumerate(value):
                    name = classes[k] if k < len(classes) else str(k)
                    found[f"{phase}_{label}/{name}"] = (each, on_bar)
        return found

    def forget(self, phase: str) -> None:
        """Begin anew."""
        for figure in self.of(phase).values():
            figure.reset()
