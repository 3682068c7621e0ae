"""Progress bars on stderr, and above them what a run notes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from delineate.notes import showing_notes

__all__ = ["Bars", "showing_progress", "tracking"]

errors = Console(stderr=True, highlight=False, emoji=False)

T = TypeVar("T")


class Bars:
    """Progress bars of one command: one for each thing that takes long."""

    figures = ""
    """What is told of a training beside its step."""

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
        told = f"training, {text}{self.figures}"
        self._bars.update(self._training, completed=progress, description=told)


@contextmanager
def showing_progress() -> Iterator[Bars]:
    """Progress bars while the block runs, gone when it ends; what a run notes stays above them.

    Where stderr is no terminal there are no bars, only the notes.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    silent = not errors.is_terminal
    with (
        showing_notes(_show),
        Progress(*columns, console=errors, transient=True, disable=silent) as bars,
    ):
        yield Bars(bars)


@contextmanager
def tracking(description: str) -> Iterator[Callable[[Sequence[T]], Iterable[T]]]:
    """What counts the items of a sequence on a progress bar; notes stand above it."""
    with showing_progress() as bars:

        def counted(items: Sequence[T]) -> Iterable[T]:
            return bars.track(items, len(items), description)

        yield counted


def _show(line: str) -> None:
    errors.print(line, markup=False, soft_wrap=True, style="dim")
