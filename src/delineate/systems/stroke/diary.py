"""What a stage writes epoch by epoch: training_log.csv, memory_usage.json and best_model.

Rows are part of the state of the training, so one that was killed goes on to the same table.
"""

import csv
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer

from delineate.contracts import Batch
from delineate.engine.memory_use import memory_figures
from delineate.engine.task import Task
from delineate.io import atomic_path
from delineate.io.paths import link
from delineate.systems.stroke.scoring import FIGURES, tally_of
from delineate.training import Lesson

__all__ = ["BEST", "LOG", "MEMORY", "Diary", "Listener", "read_history"]

BEST, LOG, MEMORY = "best_model.safetensors", "training_log.csv", "memory_usage.json"
COLUMNS: tuple[str, ...] = (
    "epoch",
    "accuracy",
    "dice_coefficient",
    "loss",
    "lr",
    "val_dice_coefficient",
    *FIGURES,
)
_RESIDENT = "VmRSS:"


class Diary:
    """Watches the validations of a training, of which each epoch has one."""

    def __init__(self, lesson: Lesson) -> None:
        self.task = lesson.task
        self.tally = tally_of(lesson)
        self.run = lesson.run
        budget = lesson.config.train.budget.epochs
        assert budget is not None
        self.epochs = budget
        self._rows: list[dict[str, float]] = []
        self._memory: list[dict[str, Any]] = []
        self._sum = torch.zeros((), dtype=torch.float64)
        self._batches = 0

    def batch(self, terms: Mapping[str, torch.Tensor]) -> None:
        """Add up the weighted terms of the loss."""
        total = torch.stack([term.detach().double() for term in terms.values()]).sum()
        self._sum = self._sum.to(total.device) + total
        self._batches += 1

    def observe(self, scores: Mapping[str, float]) -> None:
        """Write what the epoch came to; an epoch is counted from 0."""
        epoch = max(1, round(self.task.clock.progress * self.epochs)) - 1
        loss = float(self._sum) / self._batches if self._batches else float("nan")
        self._sum, self._batches = torch.zeros_like(self._sum), 0
        rate = float(self.task.optimizer.param_groups[0]["lr"])
        dice, accuracy = self.tally.take()
        validated = [scores["val_dice"], *(scores[name] for name in FIGURES)]
        figures = [epoch, accuracy, dice, loss, rate, *validated]
        self._rows.append(dict(zip(COLUMNS, figures, strict=True)))
        self._memory.append({"epoch": epoch, **_memory(self.task.device)})
        self._write()

    def state_dict(self) -> dict[str, Any]:
        """All rows, and the sums of the epoch."""
        return {
            "rows": self._rows,
            "memory": self._memory,
            "sum": self._sum,
            "batches": self._batches,
            "tally": self.tally.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._rows, self._memory = list(state["rows"]), list(state["memory"])
        self._sum, self._batches = state["sum"], state["batches"]
        self.tally.load_state_dict(state["tally"])

    def _write(self) -> None:
        folder = self.run.path
        with atomic_path(folder / LOG) as part, part.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(self._rows)
        with atomic_path(folder / MEMORY) as part:
            part.write_text(json.dumps(self._memory, indent=2), encoding="utf-8")
        link(self.run.weights, folder / BEST)


class Listener(Callback):
    """Hands the loss of every batch to the diary."""

    def __init__(self, diary: Diary) -> None:
        self.diary = diary

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Trainer, task: Task, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """The terms of the step."""
        self.diary.batch(outputs["terms"])


def read_history(folder: Path) -> dict[str, list[float]]:
    """The columns of training_log.csv."""
    with (folder / LOG).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: [_number(name, row[name]) for row in rows] for name in COLUMNS}


def _number(name: str, text: str) -> float:
    return int(text) if name == "epoch" else float(text)


def _memory(device: torch.device) -> dict[str, Any]:
    """GB of the card's tensors, or of this process where there is no card."""
    figures = memory_figures(device)
    peak = figures.get("gpu_memory_gb", figures.get("memory_gb", 0.0))
    current = torch.cuda.memory_allocated(device) / 1e9 if device.type == "cuda" else _resident()
    return {
        "current_memory_gb": round(peak if current is None else current, 4),
        "peak_memory_gb": round(peak, 4),
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _resident() -> float | None:
    """Resident GB of this process; None where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    found = [line for line in lines if line.startswith(_RESIDENT)]
    return int(found[0].split()[1]) * 1024 / 1e9 if found else None
