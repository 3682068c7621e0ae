"""metrics.jsonl of the run folder: the rows of metrics.csv, in full precision, for programs."""

import json
from argparse import Namespace
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from delineate.tracking.row_file import RowFile

__all__ = ["JsonLines"]


class JsonLines(Logger):
    """One JSON object a row, each flushed at once; a figure that is not finite is null.

    The first row makes the file anew, unless a state to go on from was loaded before it.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._rows = RowFile(path)

    @property
    def name(self) -> str:
        """The name of the run's folder."""
        return self.path.parent.name

    @property
    def version(self) -> str:
        """Always empty: a run is one folder."""
        return ""

    def state_dict(self) -> dict[str, Any]:
        """How long the file is."""
        return self._rows.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Cut off the rows that came after that state, and go on."""
        self._rows.load_state_dict(state)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append a row of whatever figures there are."""
        row = {name: value if isfinite(value) else None for name, value in metrics.items()}
        self._rows.append(json.dumps({"step": step} | row) + "\n")

    @rank_zero_only
    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any
    ) -> None:
        """Nothing to add: config.yaml and plan.json lie beside the file."""
