"""What `delineate compare` found: what was compared, the figures, and the subgroups."""

from collections.abc import Iterator
from math import isnan
from string import ascii_uppercase
from typing import TYPE_CHECKING

from delineate.console.differences import Called, show_classes, show_difference, show_ranking
from delineate.console.intervals import how_many, interval, probability, tested
from delineate.console.lines import say, say_wrapped, show_table

if TYPE_CHECKING:
    from delineate.metrics import Comparison, Subgroups

__all__ = ["show_comparison"]

LONG_NAME = 12
"""A longer name of a table is told once, and a letter stands for it."""
BETTER = {
    "higher": "higher is better",
    "lower": "lower is better",
    "neither": "neither high nor low is better",
}


def show_comparison(found: "Comparison") -> None:
    """The difference or the ranking, by class where asked, then the subgroups."""
    from delineate.metrics import Difference, Ranking

    called = _names(found)
    say(_heading(found), style="bold")
    for note in _notes(found, called):
        say_wrapped(note, 0)
    if isinstance(found.whole, Difference):
        show_difference(found.whole, called)
    pairs = [each for each in found.classes if isinstance(each, Difference)]
    if pairs:
        show_classes(pairs, called)
    for each in (found.whole, *found.classes):
        if isinstance(each, Ranking):
            show_ranking(each, called)
    tests = sum(not isnan(each.p) for each in found.subgroups)
    for each in found.subgroups:
        _show_subgroups(each, called, unit=_unit(found), among=tests)


def _names(found: "Comparison") -> Called:
    """Letters where any name is long and there are letters enough, else the names themselves."""
    # Pairs of names stand beside five columns of figures.
    most = LONG_NAME if len(found.names) < 3 else LONG_NAME - 4
    if max(map(len, found.names)) <= most or not 1 < len(found.names) <= len(ascii_uppercase):
        return {name: name for name in found.names}
    return dict(zip(found.names, ascii_uppercase, strict=False))


def _heading(found: "Comparison") -> str:
    cases = how_many(found.cases, "case")
    if found.patients < found.cases:
        cases += f" of {how_many(found.patients, 'patient')}"
    classes = f", mean over {len(found.labels)} classes" if len(found.labels) > 1 else ""
    return f"{found.metric}, {BETTER[found.direction]}: {cases}{classes}"


def _notes(found: "Comparison", called: Called) -> Iterator[str]:
    """What a reader must know before the figures."""
    yield from (f"{letter}: {name}" for name, letter in called.items() if letter != name)
    if found.patients < found.cases:
        yield "The cases of one patient count as one, by their mean."
    for name, alone, blanks in zip(found.names, found.alone, found.blanks, strict=True):
        if alone:
            yield f"{called[name]}: {how_many(alone, 'case')} that not all have: left out."
        if blanks:
            yield (
                f"{called[name]}: {how_many(blanks, 'figure')} without a value that another has: "
                "left out of all means. This may favour it: a missed structure has no distance."
            )
    for column in found.no_groups:
        yield f"{column}: no two cases share an entry, so it makes no groups."


def _unit(found: "Comparison") -> str:
    """What counts as one."""
    return "patients" if found.patients < found.cases else "cases"


def _show_subgroups(found: "Subgroups", called: Called, *, unit: str, among: int) -> None:
    of = "" if found.label is None else f" of {found.label}"
    say("")
    say(f"{' - '.join(called[name] for name in found.names)} by {found.column}{of}", style="bold")
    difference = len(found.names) == 2
    rows = [
        (
            group.name,
            group.cases,
            group.mean,
            interval(group.low, group.high, difference=difference),
        )
        for group in (found.whole, *found.groups)
    ]
    show_table(("group", unit, "mean", "95 % interval"), rows)
    say(_between_groups(found, among))
    if found.without:
        say(f"{how_many(found.without, 'case')} without an entry: left out.")
    if found.small:
        say_wrapped(_few(found, unit), 0)


def _between_groups(found: "Subgroups", among: int) -> str:
    if found.straddling:
        patients = how_many(found.straddling, "patient")
        return f"{patients} in several groups: they are not independent, and not tested."
    if isnan(found.p):
        return "Not tested: that takes two groups of two cases."
    holm = f", {probability(found.adjusted)} among {among} groupings (Holm)" if among > 1 else ""
    return f"Do the groups differ? {tested(found.p)}{holm}"


def _few(found: "Subgroups", unit: str) -> str:
    from delineate.metrics.subgroups import FEW

    if len(found.small) == len(found.groups):
        return f"All groups have fewer than {FEW} {unit}: rough intervals."
    names = "; ".join(group.name for group in found.small)
    return f"Fewer than {FEW} {unit}, so a rough interval: {names}."
