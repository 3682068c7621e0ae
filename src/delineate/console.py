"""What a person sees in the terminal: progress bars, tables, and one plain message for a mistake."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from delineate.datasets import Examination
    from delineate.metrics import Table as Scores
    from delineate.plan import Plan

__all__ = [
    "console",
    "errors",
    "show_examination",
    "show_plan",
    "show_scores",
    "show_table",
    "showing_progress",
]

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

T = TypeVar("T")


class Bars:
    """Progress bars of one command: one for each thing that takes long."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._training: TaskID | None = None

    def track(self, items: Iterable[T], total: int, description: str) -> Iterator[T]:
        """Hand the items on, and count them."""
        yield from self._bars.track(items, total=total, description=description)

    def training(self, progress: float, text: str) -> None:
        """Show how far a training has come."""
        if self._training is None:
            self._training = self._bars.add_task("training", total=1.0)
        self._bars.update(self._training, completed=progress, description=f"training, {text}")


@contextmanager
def showing_progress() -> Iterator[Bars]:
    """Progress bars while the block runs; silent where the output is no terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=errors, disable=not errors.is_terminal) as bars:
        yield Bars(bars)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows; figures are right-aligned."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    data = [[_cell(v) for v in row] for row in rows]
    for i, name in enumerate(columns):
        figures = all(isinstance(row[i], str) and _is_figure(row[i]) for row in data)
        table.add_column(name, justify="right" if figures else "left", overflow="fold")
    for row in data:
        table.add_row(*row)
    console.print(table)


def show_examination(found: "Examination") -> None:
    """The facts of every case, then every finding, errors first."""
    show_table(found.columns, found.rows)
    console.print()
    for item in (*found.errors, *found.warnings):
        console.print(
            str(item), style="red" if item.severity == "error" else "yellow", markup=False
        )
    counts = f"{len(found.errors)} errors, {len(found.warnings)} warnings"
    console.print(f"{len(found.rows)} cases, {counts}.")


def show_plan(plan: "Plan") -> None:
    """Each choice with its reason."""
    show_table(
        ("choice", "value", "why"),
        ((name, _cell(getattr(plan, name, "")), why) for name, why in plan.reasons.items()),
    )


def show_scores(table: "Scores") -> None:
    """Each class's means over the cases, then the mean over all, with its interval for Dice."""
    from delineate.metrics import summarise

    show_table(*summarise(table))
    low, high = table.interval("dice")
    cases = len(table.cases)
    console.print(
        f"Mean Dice {table.mean('dice'):.4f} over {cases} cases (95 % interval {low:.4f} to {high:.4f})"
    )


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)


def _is_figure(text: str) -> bool:
    return not text or text.lstrip("-").replace(".", "", 1).isdigit()
