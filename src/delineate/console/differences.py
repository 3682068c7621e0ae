"""Differences of two models and rankings of several, in lines of 80 characters."""

from collections.abc import Iterator, Mapping, Sequence
from math import isnan
from typing import TYPE_CHECKING

from delineate.console.intervals import interval, probability, signed, tested
from delineate.console.lines import say, say_wrapped, show_table

if TYPE_CHECKING:
    from delineate.metrics import Difference, Ranking

__all__ = ["show_classes", "show_difference", "show_ranking"]

LEVEL = 0.05

Called = Mapping[str, str]
"""What each table is called here; a long name would push the figures aside."""


def show_difference(found: "Difference", called: Called) -> None:
    """Means, difference, how many cases, tests, and what they say."""
    first, second = (called[name] for name in found.names)
    say("")
    show_table(("table", "mean"), [(first, found.first), (second, found.second)])
    say("")
    limits = interval(found.low, found.high, difference=True)
    say(f"{first} - {second}: {signed(found.mean)}, 95 % interval {limits}")
    more, less = _words(found)
    say(
        f"{first} is {more} in {found.better}, equal in {found.ties}, {less} in {found.worse} of "
        f"{found.cases}"
    )
    say(f"Standardised difference {signed(found.effect, decimals=2)}")
    way = "exact" if found.exact else "random signs"
    say(f"{tested(found.p)} (paired permutation test, {way}), Wilcoxon {tested(found.wilcoxon)}")
    say_wrapped(_verdict(found, called), 0)


def show_classes(found: Sequence["Difference"], called: Called) -> None:
    """One line per class."""
    columns = ("class", "first", "second", "difference, 95 %", "+/=/-", "p (Holm)")
    rows = [
        (
            each.label,
            each.first,
            each.second,
            interval(each.low, each.high, difference=True),
            _tally(each),
            probability(each.adjusted),
        )
        for each in found
    ]
    say("")
    show_table(columns, rows)
    say(_legend(found[0], f"{called[found[0].names[0]]} (first)"))


def show_ranking(found: "Ranking", called: Called) -> None:
    """One line per table with its place, then one per pair."""
    rows = [
        (
            each.rank,
            called[each.name],
            each.mean,
            interval(each.low, each.high),
            f"{each.rank_low} to {each.rank_high}",
            f"{100 * each.first_share:.0f} %",
            f"{each.mean_rank:.2f}",
            each.rank_by_cases,
        )
        for each in found.standings
    ]
    say("")
    if found.label is not None:
        say(found.label, style="bold")
    show_table(
        ("rank", "table", "mean", "95 % interval", "ranks", "first", "mean rank", "by cases"), rows
    )
    for line in _ranking_words(found, called):
        say_wrapped(line, 0)
    say("")
    _show_pairs(found, called)


def _show_pairs(found: "Ranking", called: Called) -> None:
    rows = [
        (
            " - ".join(called[name] for name in each.names),
            signed(each.mean),
            interval(each.low, each.high, difference=True),
            _tally(each),
            probability(each.p),
            probability(each.adjusted),
        )
        for each in found.pairs
    ]
    show_table(("pair", "difference", "95 % interval", "+/=/-", "p", "p (Holm)"), rows)
    say(_legend(found.pairs[0], "the first of the pair"))


def _ranking_words(found: "Ranking", called: Called) -> Iterator[str]:
    if found.label is None:
        yield (
            "rank: by the mean; ranks, first: where 95 % of draws of other cases put it, and how "
            "often first. by cases: by the mean of its ranks in each case and class."
        )
    yield (
        f"Kendall's tau with the ranks of other cases: {found.stability:.2f} by the mean, "
        f"{found.stability_by_cases:.2f} by cases (1: always the same order)"
    )
    first = [each.name for each in found.standings if each.rank == 1]
    by_cases = [each.name for each in found.standings if each.rank_by_cases == 1]
    if first != by_cases:
        names = ", ".join(called[name] for name in by_cases)
        yield f"The two ways disagree on the first place: by cases it is {names}."


def _verdict(found: "Difference", called: Called) -> str:
    """In words, for those who do not read p-values, and against reading too much into them."""
    if isnan(found.p):
        return "Fewer than two pairs: nothing can be said."
    if found.p < LEVEL:
        better = "They differ" if found.winner is None else f"{called[found.winner]} is better"
        return f"{better}: a difference like this is seldom chance."
    least = min(1.0, 2.0 ** (1 - found.better - found.worse))
    if found.exact and least >= LEVEL:
        return f"Too few pairs that differ: p cannot be below {least:.3g}, whatever the tables say."
    return "No difference is shown, which does not show that there is none: see the interval."


def _legend(found: "Difference", whose: str) -> str:
    more, less = _words(found)
    return f"+/=/-: cases in which {whose} is {more}, equal, {less}."


def _words(found: "Difference") -> tuple[str, str]:
    return ("higher", "lower") if found.direction == "neither" else ("better", "worse")


def _tally(found: "Difference") -> str:
    return f"{found.better}/{found.ties}/{found.worse}"
