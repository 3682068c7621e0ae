"""A line of the log and a row of metrics.csv for each epoch."""

import csv
import logging
import time
from math import isfinite
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from delineate.engine.memory_use import memory_figures
from delineate.io import atomic_path

__all__ = ["EpochLines", "last_step"]

log = logging.getLogger("delineate")

SHOWN = 5
"""Figures of a line."""


def last_step(trainer: Trainer) -> int:
    """The step that Lightning logs the figures of an epoch at; steps of a logger must not fall."""
    return max(0, trainer.global_step - 1)


class EpochLines(Checkpoint):
    """Tells of each epoch what was measured and how long it took.

    Lightning calls up its Checkpoints last, when all figures are there.

    Args:
        table: metrics.csv, written anew after each epoch.
        watched: The figure that the best weights are chosen by, and whether more is better.
    """

    def __init__(self, table: Path, watched: tuple[str, bool]) -> None:
        self.table = table
        self.watched, self.more = watched
        self.rows: list[dict[str, Any]] = []
        self._begun = 0.0
        self._rates: dict[str, float] = {}

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count the time, and note the rates."""
        self._begun = time.monotonic()
        self._rates = {
            f"lr-{type(o).__name__}": float(o.param_groups[0]["lr"]) for o in trainer.optimizers
        }

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the row and the line."""
        figures = {
            str(name): float(value)
            for name, value in trainer.callback_metrics.items()
            if not str(name).endswith("_step") and not str(name).startswith("lr-")
        }
        seconds = time.monotonic() - self._begun
        used = {"seconds": seconds, **memory_figures(pl_module.device)}
        row = {"epoch": trainer.current_epoch, "step": trainer.global_step}
        self.rows.append({**row, **figures, **self._rates, **used})
        if not trainer.is_global_zero:
            return
        self._write()
        system = {f"system/{name}": value for name, value in used.items()}
        for logger in trainer.loggers:
            logger.log_metrics(system, step=last_step(trainer))
        log.info("%s", self._line(trainer, figures, seconds))

    def state_dict(self) -> dict[str, Any]:
        """The rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with them."""
        self.rows = list(state_dict["rows"])

    def _line(self, trainer: Trainer, figures: dict[str, float], seconds: float) -> str:
        names = sorted(figures, key=lambda n: (n.startswith("train"), "/" in n))
        if self.watched in names:
            names = [self.watched, *(n for n in names if n != self.watched)]
        shown = [f"{n} {figures[n]:.4f}" for n in names if "/" not in n][:SHOWN]
        best = self._best()
        told = "" if best is None else f"; best {self.watched} {best[1]:.4f} in epoch {best[0]}"
        return (
            f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}, {seconds:.1f} s: "
            f"{', '.join(shown)}{told}"
        )

    def _best(self) -> tuple[int, float] | None:
        known = [
            (row["epoch"] + 1, row[self.watched])
            for row in self.rows
            if isfinite(row.get(self.watched, float("nan")))
        ]
        choose = max if self.more else min
        return choose(known, key=lambda entry: entry[1]) if known else None

    def _write(self) -> None:
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        self.table.parent.mkdir(parents=True, exist_ok=True)
        with (
            atomic_path(self.table) as part,
            part.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(
                {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()}
                for row in self.rows
            )
