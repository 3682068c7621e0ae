"""metrics.jsonl of the run folder: the rows of metrics.csv, in full precision, for programs."""

import json
from collections.abc import Mapping
from math import isfinite

from lightning.pytorch.utilities import rank_zero_only

from delineate.tracking.row_file import RowFile

__all__ = ["JsonLines"]


class JsonLines(RowFile):
    """One JSON object a row; a figure that is not finite is null."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append a row of whatever figures there are."""
        row = {name: value if isfinite(value) else None for name, value in metrics.items()}
        self.append(json.dumps({"step": step} | row) + "\n")
