"""Several networks that take turns, each time in a process of its own: what such scripts share."""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from sides import run_side

__all__ = ["Results", "command_line", "medians", "peaks", "refuse_unequal", "take_turns"]

Results = dict[str, list[dict[str, Any]]]
"""What the processes of each side have said."""


def take_turns(
    script: str, sides: Iterable[str], work: str, *, steps: int, rounds: int, unit: str = "step"
) -> Results:
    """One process of each side after the other, `rounds` times; the seconds are shown as they come.

    Args:
        unit: what a second is counted for.
    """
    found: Results = {side: [] for side in sides}
    for turn in range(rounds):
        for side, results in found.items():
            results += run_side(script, ["--work", work, "--steps", steps, "--side", side])
            middle = statistics.median(results[-1]["seconds"])
            print(f"round {turn}, {side}: {middle:.4g} s a {unit}", flush=True)
    return found


def refuse_unequal(script: str, found: Results, sides: Iterable[str]) -> None:
    """Sides that must be the same network have the same number of weights."""
    weights = {side: found[side][0]["weights"] for side in sides}
    if len(set(weights.values())) > 1:
        sys.exit(f"{Path(script).stem}: the networks differ in their weights, {weights}")


def medians(found: Results, kind: str) -> dict[str, float]:
    """Of all that each side has measured."""
    return {side: statistics.median(s for r in rs for s in r[kind]) for side, rs in found.items()}


def peaks(found: Results) -> dict[str, float]:
    """The most GB that a process of each side held above what it held before."""
    return {side: max(r["peak_gb"] - r["idle_gb"] for r in rs) for side, rs in found.items()}


def command_line(
    description: str,
    works: Collection[str],
    sides: Collection[str],
    *,
    measure: Callable[..., dict[str, Any]],
    compare: Callable[..., None],
    unit: str = "steps",
    rounds: int = 2,
) -> None:
    """Measure one side in this process, or compare all of them.

    Args:
        works: the first one is done unless another is asked for.
        measure: given the side, the name of the work, and steps.
        compare: given the name of the work, steps and rounds.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--work", choices=works, default=next(iter(works)))
    parser.add_argument("--steps", type=int, default=1, help=f"{unit} that a process times")
    parser.add_argument("--rounds", type=int, default=rounds, help="processes of each side")
    parser.add_argument("--side", choices=sides, help="measure one side in this process")
    asked = parser.parse_args()
    if asked.side:
        print(json.dumps(measure(asked.side, asked.work, steps=asked.steps)))
        return
    compare(asked.work, steps=asked.steps, rounds=asked.rounds)
