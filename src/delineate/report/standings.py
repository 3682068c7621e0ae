"""Tables and charts of who wins: standing, pairs, one run against the other, every case."""

from collections.abc import Mapping
from html import escape
from math import isnan, nan

from delineate.metrics.compare import Difference
from delineate.metrics.direction import direction
from delineate.metrics.ranking import Ranking, Standing
from delineate.report.case_table import Cell, Column, Figures, case_table, chooser, figure_cell
from delineate.report.markup import card, note
from delineate.report.metric_names import figure_text, title
from delineate.report.paired import difference_chart, scatter_chart
from delineate.report.versus import Versus

__all__ = ["p_text", "standings_of_cases", "standings_of_metrics"]


def standings_of_metrics(versus: Versus, colours: Mapping[str, str]) -> str:
    """One metric at a time: the standing of the runs, all pairs tested, the leaders by case."""
    panels = "".join(
        f'<div data-panel="{escape(metric)}"{"" if i == 0 else " hidden"}>'
        f"{_panel(versus, ranking, colours)}</div>"
        for i, (metric, ranking) in enumerate(_ordered(versus).items())
    )
    return f'<div class="tools">{chooser(list(_ordered(versus)))}</div>{panels}'


def standings_of_cases(versus: Versus, colours: Mapping[str, str]) -> str:
    """A row per case, a column per run, and by how much the leading run differs."""
    first, second = versus.leaders
    columns = [Column(name=name, colour=colours[name]) for name in versus.tables]
    columns.append(Column(name=f"{first} less {second}", signed=True))
    figures = {metric: _figures(versus, metric) for metric in _ordered(versus)}
    cases = list(versus.case_means(versus.main.metric))
    return case_table(cases, columns, figures, name="case-figures")


def p_text(p: float) -> str:
    """A p-value as it is read."""
    if isnan(p):
        return "p unknown"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _ordered(versus: Versus) -> dict[str, Ranking]:
    """The main metric first."""
    main = versus.main.metric
    return {main: versus.rankings[main], **versus.rankings}


def _panel(versus: Versus, ranking: Ranking, colours: Mapping[str, str]) -> str:
    rows = "".join(_standing(standing, colours[standing.name]) for standing in ranking.standings)
    pairs = "".join(_pair(pair) for pair in ranking.pairs)
    way = "higher" if direction(ranking.metric) == "higher" else "lower"
    return (
        f"{_table('standing', _STANDING, rows)}{_table('pairs', _PAIR, pairs)}"
        + note(
            f"{title(ranking.metric)}: {way} is better. {ranking.cases} cases, in each the mean "
            "over its classes. Intervals: bootstrap over the cases; p: permutation test of the "
            "paired cases, two-sided, Holm's correction over the pairs of this table."
        )
        + _charts(versus, ranking.metric, colours)
    )


_STANDING = ("", "run", "mean", "95 % interval", "first when cases are drawn anew")
_PAIR = ("pair", "difference", "95 % interval", "p", "effect", "better / equal / worse")


def _table(kind: str, heads: tuple[str, ...], rows: str) -> str:
    titles = "".join(f'<th scope="col">{escape(head)}</th>' for head in heads)
    return (
        f'<div class="scroll {kind}"><table class="means"><thead><tr>{titles}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _standing(one: Standing, colour: str) -> str:
    return (
        f'<tr><td class="place">{one.rank}</td><th scope="row"><i style="background:{colour}"></i>'
        f"{escape(one.name)}</th>{figure_cell(one.mean)}"
        f'<td class="figure soft">{_interval(one.low, one.high)}</td>'
        f'<td class="figure soft">{one.first_share:.0%}</td></tr>'
    )


def _pair(pair: Difference) -> str:
    first, second = pair.names
    effect = "&ndash;" if isnan(pair.effect) else f"{pair.effect:+.2f}"
    p = p_text(pair.adjusted).removeprefix("p ").removeprefix("= ")
    return (
        f'<tr><th scope="row">{escape(first)} less {escape(second)}</th>'
        f"{figure_cell(pair.mean, signed=True)}"
        f'<td class="figure soft">{_interval(pair.low, pair.high, signed=True)}</td>'
        f'<td class="figure">{escape(p)}</td><td class="figure soft">{effect}</td>'
        f'<td class="figure soft">{pair.better} / {pair.ties} / {pair.worse}</td></tr>'
    )


def _interval(low: float, high: float, *, signed: bool = False) -> str:
    if isnan(low):
        return "&ndash;"
    texts = (f"{'+' if signed and v > 0 else ''}{figure_text(v)}" for v in (low, high))
    return " to ".join(texts)


def _charts(versus: Versus, metric: str, colours: Mapping[str, str]) -> str:
    """The two leading runs, case by case."""
    pairs = versus.pairs(metric)
    if not pairs:
        return ""
    first, second = versus.leaders
    names = second, first
    # A bar has the colour of the run that is better in that case.
    low, high = (second, first) if direction(metric) == "higher" else (first, second)
    shades = colours[low], colours[high]
    scatter = scatter_chart(pairs, names, colours[first], metric=title(metric))
    bars = difference_chart(pairs, names, shades, metric=title(metric))
    return (
        f'<div class="uneven">{card("One against the other", scatter)}'
        f"{card('Difference in each case', bars)}</div>"
    )


def _figures(versus: Versus, metric: str) -> Figures:
    first, second = versus.leaders
    means = versus.case_means(metric)
    rows: list[list[Cell]] = [[*by.values(), by[first] - by[second]] for by in means.values()]
    standings = {one.name: one.mean for one in versus.rankings[metric].standings}
    foot: list[Cell] = [standings.get(name, nan) for name in versus.tables]
    return Figures(rows=rows, foot=[*foot, standings[first] - standings[second]])
