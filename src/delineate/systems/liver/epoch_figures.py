"""The figures of an epoch: each case once, whoever has seen it and in whatever batch."""

from collections.abc import Sequence
from math import nan

from torch import distributed

from delineate.systems.liver.agreement import Agreement, mean, summarise

__all__ = ["EpochFigures"]


class EpochFigures:
    """Gathers the cases of an epoch, over all processes of a training."""

    def __init__(self) -> None:
        self._cases: dict[str, tuple[float, Agreement]] = {}

    def add(self, case: str, agreement: Agreement, loss: float = nan) -> None:
        """Keep the figures of a case; one that comes again counts once."""
        self._cases[case] = (loss, agreement)

    def finish(self, names: Sequence[str]) -> dict[str, float]:
        """The means over all processes' cases; the next epoch begins empty.

        Every process must ask, and all are told the same.

        Args:
            names: Of the classes that each case was measured on.
        """
        found = self._everywhere()
        self._cases = {}
        figures = summarise((agreement for _, agreement in found.values()), names)
        return {"loss": mean(loss for loss, _ in found.values())} | figures

    def _everywhere(self) -> dict[str, tuple[float, Agreement]]:
        if not (distributed.is_available() and distributed.is_initialized()):
            return self._cases
        parts: list[dict[str, tuple[float, Agreement]]] = [
            {} for _ in range(distributed.get_world_size())
        ]
        distributed.all_gather_object(parts, self._cases)
        return {case: figures for part in parts for case, figures in part.items()}
