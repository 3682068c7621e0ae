"""What a model scores, and where the time of its training goes."""

from math import isnan
from typing import TYPE_CHECKING

from delineate.console.lines import count, say, show_table

if TYPE_CHECKING:
    from delineate.engine.profile import Profile
    from delineate.metrics import Table as Scores

__all__ = ["show_profile", "show_scores"]


def show_scores(table: "Scores") -> None:
    """Each class's means over the cases, then the mean over all, with its interval for Dice."""
    from delineate.metrics import summarise

    columns, rows = summarise(table)
    # Near 1 for every small structure: it stays in the file.
    kept = [i for i, name in enumerate(columns) if name != "specificity"]
    show_table([columns[i] for i in kept], [[row[i] for i in kept] for row in rows])
    low, high = table.interval("dice")
    interval = "" if isnan(low) else f" (95 % interval {low:.4f} to {high:.4f})"
    say(f"Mean Dice {table.mean('dice'):.4f} over {count(table.cases, 'case')}{interval}")


def show_profile(profile: "Profile") -> None:
    """The parts of a step, the figures beside them, and what binds."""
    from delineate.engine.verdict import describe, verdict

    parts = [
        (p, f"{1e3 * s:.1f}", f"{100 * profile.shares[p]:.1f}") for p, s in profile.seconds.items()
    ]
    show_table(("part", "ms", "%"), parts)
    for line in ("", *describe(profile), "", verdict(profile)):
        say(line)
