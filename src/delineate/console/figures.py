"""What a model scores, and where the time of its training goes."""

from collections.abc import Mapping
from math import isnan
from typing import TYPE_CHECKING

from delineate.console.lines import count, say, show_table

if TYPE_CHECKING:
    from delineate.engine.profile import Profile
    from delineate.metrics import Presence
    from delineate.metrics import Table as Scores

__all__ = ["show_presence", "show_profile", "show_scores"]

MOST_COLUMNS = 5
"""Classes that stand beside each other on a terminal."""
RANKING = ("dice", "surface_dice", "hd95", "lesion_f1")
"""The figures that are shown of many classes; all are in the file."""


def show_scores(table: "Scores") -> None:
    """Each class's means over the cases, then the mean over all, with its interval for Dice.

    Of few classes every figure is a row; of many, a class is a row with the figures that rank.
    """
    from delineate.metrics import summarise

    columns, rows = summarise(table)
    if len(table.labels) <= MOST_COLUMNS:
        show_table(("figure", *(str(row[0]) for row in rows)), _turned(columns, rows))
    else:
        kept = [i for i, name in enumerate(columns) if not i or name.startswith(RANKING)]
        show_table([columns[i] for i in kept], [[row[i] for i in kept] for row in rows])
    if "dice" in table.metrics:
        low, high = table.interval("dice")
        interval = "" if isnan(low) else f" (95 % interval {low:.4f} to {high:.4f})"
        say(f"Mean Dice {table.mean('dice'):.4f} over {count(table.cases, 'case')}{interval}")


def show_presence(found: "Mapping[str, Presence]") -> None:
    """Each class over all cases: is it there at all?"""
    heads = ("class", "cases", "with it", "accuracy", "sensitivity", "specificity", "AUC")
    rows = [
        (name, p.cases, p.present, p.accuracy, p.sensitivity, p.specificity, p.auc)
        for name, p in found.items()
    ]
    say("")
    show_table(heads, rows)


def _turned(columns: list[str], rows: list[list[str | float]]) -> list[list[str | float]]:
    """A row per figure."""
    return [[name, *(row[i] for row in rows)] for i, name in enumerate(columns) if i]


def show_profile(profile: "Profile") -> None:
    """The parts of a step, the figures beside them, and what binds."""
    from delineate.engine.verdict import describe, verdict

    parts = [
        (p, f"{1e3 * s:.1f}", f"{100 * profile.shares[p]:.1f}") for p, s in profile.seconds.items()
    ]
    show_table(("part", "ms", "%"), parts)
    for line in ("", *describe(profile), "", verdict(profile)):
        say(line)
