"""Several tables on the same cases: who is first, and would that be so with other cases?

Challenges rank in two ways (Maier-Hein et al. 2018; Wiesenfarth et al. 2021), and the winner can
depend on it: by the mean over the cases ("mean, then rank"), or by the mean of the ranks in each
case and class ("rank, then mean"). Both are given. Ties share the better rank in the ranking, and
the mean of their ranks within a case.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from delineate.errors import DataError
from delineate.metrics.bootstrap import case_draws, mean_intervals
from delineate.metrics.compare import Difference, take_differences
from delineate.metrics.direction import bounds, direction
from delineate.metrics.holm import correct
from delineate.metrics.pairing import Paired, pair_tables
from delineate.metrics.table import Table, known_mean

__all__ = ["Ranking", "Standing", "rank_classes", "rank_tables"]

NOTHING = "compare: no case has a value of '{}' in every table."
DRAWS = 2_000
ROUNDING = 1e-9
"""Means this close are equal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One table's place among the others."""

    name: str
    mean: float
    low: float
    high: float
    """The 95 % interval of the mean."""
    rank: int
    """By the mean; 1 is best."""
    rank_low: int
    rank_high: int
    """Where 95 % of the ranks by the mean lie when the cases are drawn anew."""
    first_share: float
    """In how many of those draws it is first, or shares the first place."""
    mean_rank: float
    """Of its ranks in each case and class; a figure that only others have is ranked last."""
    rank_by_cases: int
    """By the mean rank."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Tables in the order of their means, with all pairs tested."""

    metric: str
    label: str | None
    """The class; None for the mean over the classes of each case."""
    cases: int
    """Patients, where they are known."""
    standings: tuple[Standing, ...]
    stability: float
    """Kendall's tau of the ranks by the mean with those of cases drawn anew; 1: the same order."""
    stability_by_cases: float
    """The same of the ranks by the mean rank."""
    pairs: tuple[Difference, ...]
    """The better-ranked first; `adjusted` counts all pairs (Holm)."""


def rank_tables(
    tables: Mapping[str, Table],
    metric: str = "dice",
    *,
    patients: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Ranking:
    """Rank tables by name on the cases that all of them have; no metric without a better.

    Args:
        patients: The patient of each case: cases of one patient count as one.
    """
    paired, ranks = _prepare(tables, metric, patients)
    means, ranks = (
        known_mean(paired.by_unit(values), axis=2)[..., None] for values in (paired.complete, ranks)
    )
    return _rank_each(tuple(tables), metric, means, ranks, seed)[0]


def rank_classes(
    tables: Mapping[str, Table],
    metric: str = "dice",
    *,
    patients: Mapping[str, str] | None = None,
    seed: int = 0,
) -> tuple[Ranking, ...]:
    """The same for every class of which all have a figure; `adjusted` counts its pairs."""
    paired, ranks = _prepare(tables, metric, patients)
    means, ranks = paired.by_unit(paired.complete), paired.by_unit(ranks)
    there = ~np.isnan(means).all((0, 1))
    if not there.any():
        raise DataError(NOTHING.format(metric))
    found = _rank_each(tuple(tables), metric, means[..., there], ranks[..., there], seed)
    labels = (paired.labels[i] for i in np.flatnonzero(there))
    return tuple(_named(each, label) for each, label in zip(found, labels, strict=True))


def _prepare(
    tables: Mapping[str, Table], metric: str, patients: Mapping[str, str] | None
) -> tuple[Paired, np.ndarray]:
    """The tables side by side, and the ranks of their figures in each case and class."""
    if direction(metric) == "neither":
        raise DataError(
            f"compare: '{metric}' is neither better when higher nor when lower, so nothing is "
            "ranked by it. Fix: choose another metric, or compare two tables."
        )
    paired = pair_tables(list(tables.values()), metric, patients=patients)
    losses = _losses(paired.values, metric)
    known = ~np.isnan(losses)
    last = losses[known].max(initial=0.0) + 1
    ranks = _ranks(np.where(known, losses, last), shared=0.5)
    return paired, np.where(known.any(0), ranks, np.nan)


def _rank_each(
    names: tuple[str, ...], metric: str, means: np.ndarray, ranks: np.ndarray, seed: int
) -> tuple[Ranking, ...]:
    """A ranking per class from the figures and the ranks, both (tables, units, classes)."""
    columns = means.transpose(1, 2, 0).reshape(means.shape[1], -1)
    intervals = mean_intervals(columns, bounds=bounds(metric), seed=seed)
    intervals = intervals.reshape(means.shape[2], len(names), 2)
    found = [
        _rank(names, metric, means[..., i], ranks[..., i], intervals=limits, seed=seed)
        for i, limits in enumerate(intervals)
    ]
    return _with_pairs(found, dict(zip(names, means, strict=True)), seed)


def _rank(
    names: tuple[str, ...],
    metric: str,
    means: np.ndarray,
    ranks: np.ndarray,
    *,
    intervals: np.ndarray,
    seed: int,
) -> Ranking:
    """From the figures and the ranks, both (tables, units); the pairs are still to come."""
    counted = means[:, ~np.isnan(means).any(0)]
    ranks = ranks[:, ~np.isnan(ranks).any(0)]
    if not counted.size:
        raise DataError(NOTHING.format(metric))
    losses = _losses(counted, metric)
    place, place_by_cases = _places(losses.mean(1)), _places(ranks.mean(1))
    drawn, drawn_by_cases = _redrawn(losses, seed), _redrawn(ranks, seed)
    limits = np.quantile(drawn, (0.025, 0.975), axis=1, method="closest_observation")
    standings = [
        Standing(
            name=names[i],
            mean=float(counted[i].mean()),
            low=float(intervals[i, 0]),
            high=float(intervals[i, 1]),
            rank=int(place[i]),
            rank_low=int(limits[0, i]),
            rank_high=int(limits[1, i]),
            first_share=float((drawn[i] == 1).mean()),
            mean_rank=float(ranks[i].mean()),
            rank_by_cases=int(place_by_cases[i]),
        )
        for i in np.lexsort((place_by_cases, place)).tolist()
    ]
    return Ranking(
        metric=metric,
        label=None,
        cases=counted.shape[1],
        standings=tuple(standings),
        stability=_agreement(place, drawn),
        stability_by_cases=_agreement(place_by_cases, drawn_by_cases),
        pairs=(),
    )


def _with_pairs(
    found: Sequence[Ranking], means: Mapping[str, np.ndarray], seed: int
) -> tuple[Ranking, ...]:
    """Every pair of every ranking, all as columns of one comparison.

    Args:
        means: The figures of each table, (units, classes).
    """
    pairs = [list(combinations((s.name for s in each.standings), 2)) for each in found]
    columns = [(first, second, i) for i, chosen in enumerate(pairs) for first, second in chosen]
    tested = take_differences(
        found[0].metric,
        np.stack([means[first][:, i] for first, _, i in columns], axis=1),
        np.stack([means[second][:, i] for _, second, i in columns], axis=1),
        names=[(first, second) for first, second, _ in columns],
        seed=seed,
    )
    number = len(pairs[0])
    return tuple(
        replace(each, pairs=correct(tested[i * number : (i + 1) * number]))
        for i, each in enumerate(found)
    )


def _named(found: Ranking, label: str) -> Ranking:
    """The same, said to be of one class."""
    pairs = tuple(replace(pair, label=label) for pair in found.pairs)
    return replace(found, label=label, pairs=pairs)


def _losses(values: np.ndarray, metric: str) -> np.ndarray:
    """Figures of which the lower is the better."""
    return values if direction(metric) == "lower" else -values


def _ranks(losses: np.ndarray, *, shared: float) -> np.ndarray:
    """Ranks from 1 along the first axis.

    Args:
        shared: What a tie adds for each equal: 0 gives all the best rank, 1/2 the mean rank.
    """
    slack = ROUNDING * np.abs(losses).max(0)
    ranks = np.ones_like(losses)
    for i, own in enumerate(losses):
        others = np.delete(losses, i, axis=0)
        better = (others < own - slack).sum(0)
        ranks[i] += better + shared * ((others <= own + slack).sum(0) - better)
    return ranks


def _places(losses: np.ndarray) -> np.ndarray:
    """Ranks in which ties share the best."""
    return _ranks(losses, shared=0.0).astype(int)


def _redrawn(losses: np.ndarray, seed: int) -> np.ndarray:
    """(tables, draws): the places when the units of (tables, units) are drawn anew."""
    units = losses.shape[1]
    return np.concatenate(
        [
            _places(losses @ counts.T / units)
            for counts in case_draws(units, draws=DRAWS, seed=seed)
        ],
        axis=1,
    )


def _agreement(place: np.ndarray, drawn: np.ndarray) -> float:
    """The mean of Kendall's tau (a tie agrees with nothing but a tie) over the draws."""
    first, second = np.triu_indices(len(place), 1)
    signs = np.sign(drawn[first] - drawn[second])
    ours = np.sign(place[first] - place[second])[:, None]
    agree = np.where((signs == 0) & (ours == 0), 1, signs * ours)
    return float(agree.mean())
