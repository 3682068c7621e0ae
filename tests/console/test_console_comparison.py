"""What compare prints fits 80 characters and says which way is better."""

import re
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from delineate.console import lines, show_comparison
from delineate.metrics import Row, Strata, Table, compare_tables

LABELS = ("hippocampus_left_anterior", "hippocampus_left_posterior")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    out = StringIO()
    plain = Console(
        file=out, force_terminal=True, width=80, color_system=None, markup=False, emoji=False
    )
    monkeypatch.setattr(lines, "console", plain)
    return out


def table(shift: float, *, cases: int = 24, metric: str = "dice", seed: int = 0) -> Table:
    rng = np.random.default_rng(seed)
    noise = np.random.default_rng(seed + int(1000 * abs(shift)))
    return Table(
        tuple(
            Row(
                case=f"case_{i}",
                label=label,
                values={
                    metric: float(rng.uniform(0.5, 0.8) + shift + noise.normal(0, 0.02)),
                    "true_volume_ml": float(i + 1),
                },
            )
            for i in range(cases)
            for label in LABELS
        )
    )


def strata(**site: str) -> Strata:
    return Strata(columns={"site": site}, patients={})


def test_two_tables_are_told_in_few_lines(terminal: StringIO):
    show_comparison(compare_tables({"run_a": table(0.1), "run_b": table(0.0)}))
    said = terminal.getvalue().splitlines()
    assert said[0] == "dice, higher is better: 24 cases, mean over 2 classes"
    assert said[2].split() == ["table", "mean"]
    assert said[6].startswith("run_a - run_b: +0.")
    assert "95 % interval +0." in said[6]
    assert said[7] == "run_a is better in 24, equal in 0, worse in 0 of 24"
    assert said[8].startswith("Standardised difference +")
    assert said[9] == "p < 0.0001 (paired permutation test, random signs), Wilcoxon p < 0.0001"
    assert said[10] == "run_a is better: a difference like this is seldom chance."


def test_of_distances_the_lower_table_is_the_better(terminal: StringIO):
    tables = {name: table(shift, metric="hd95_mm") for name, shift in (("far", 0.1), ("near", 0.0))}
    show_comparison(compare_tables(tables, "hd95_mm"))
    said = terminal.getvalue()
    assert "hd95_mm, lower is better" in said
    assert "far is better in 0, equal in 0, worse in 24 of 24" in said
    assert "near is better: a difference like this" in said


def test_a_volume_is_higher_or_lower_but_never_better(terminal: StringIO):
    tables = {name: table(shift, metric="volume_ml") for name, shift in (("A", 0.1), ("B", 0.0))}
    show_comparison(compare_tables(tables, "volume_ml", by_class=True))
    said = terminal.getvalue()
    assert "A is higher in 24, equal in 0, lower in 0" in said
    assert "They differ: a difference like this" in said
    assert "cases in which A (first) is higher, equal, lower" in said


def test_no_difference_shown_is_not_called_equality(terminal: StringIO):
    show_comparison(compare_tables({"A": table(0.0), "B": table(0.001)}))
    assert "No difference is shown, which does not show that there is none" in terminal.getvalue()


def test_with_five_cases_the_least_p_is_told(terminal: StringIO):
    show_comparison(compare_tables({"A": table(0.1, cases=5), "B": table(0.0, cases=5)}))
    said = terminal.getvalue()
    assert "p = 0.0625 (paired permutation test, exact)" in said
    assert "p cannot be below 0.0625" in said


def test_one_case_says_nothing(terminal: StringIO):
    show_comparison(compare_tables({"A": table(0.1, cases=1), "B": table(0.0, cases=1)}))
    said = terminal.getvalue()
    assert "95 % interval -" in said
    assert "Fewer than two pairs: nothing can be said." in said


def test_everything_fits_80_characters(terminal: StringIO):
    groups = strata(**{f"case_{i}": f"a hospital of some name, ward {i % 3}" for i in range(24)})
    tables = {f"experiment_number_{i}_wide": table(i / 50) for i in range(4)}
    for number in (2, 4):
        some = dict(list(tables.items())[:number])
        show_comparison(compare_tables(some, by_class=True, strata=groups))
    said = terminal.getvalue()
    assert max(map(len, said.splitlines())) <= 80
    assert "B: experiment_number_1_wide\n" in said
    # Names are cut, figures are not.
    assert not re.search(r"\d\.\.\.", said)


def test_a_ranking_names_places_their_stability_and_every_pair(terminal: StringIO):
    tables = {"best": table(0.1), "good": table(0.05), "poor": table(-0.1)}
    show_comparison(compare_tables(tables))
    said = terminal.getvalue()
    rows = [line.split() for line in said.splitlines()]
    assert (rows[2][:10]) == [
        "rank",
        "table",
        "mean",
        "95",
        "%",
        "interval",
        "ranks",
        "first",
        "mean",
        "rank",
    ]
    assert [row[:2] for row in rows[3:6]] == [["1", "best"], ["2", "good"], ["3", "poor"]]
    assert "Kendall's tau" in said
    assert "best - poor" in said
    assert "cases in which the first of the pair is better, equal, worse" in said


def test_ways_of_ranking_that_disagree_are_told(terminal: StringIO):
    def one(figures):
        return Table(
            tuple(Row(case=str(i), label="x", values={"dice": v}) for i, v in enumerate(figures))
        )

    often = one([0.9, 0.9, 0.9, 0.9, 0.1])
    show_comparison(
        compare_tables({"often": often, "steady": one([0.85] * 5), "low": one([0.1] * 5)})
    )
    assert "The two ways disagree on the first place: by cases it is often." in terminal.getvalue()


def test_subgroups_warn_of_few_cases_and_correct_for_many_groupings(terminal: StringIO):
    groups = strata(**{f"case_{i}": "Ulm" if i < 4 else "Bern" for i in range(22)})
    show_comparison(compare_tables({"run": table(0.0)}, strata=groups))
    said = terminal.getvalue()
    assert "run by site" in said
    assert "run by true volume of hippocampus_left_anterior" in said
    assert "among 3 groupings (Holm)" in said
    assert "2 cases without an entry: left out." in said
    assert "Fewer than 10 cases, so a rough interval: Ulm." in said
    assert "small, 1 to 8 ml" in said


def test_patients_and_what_is_left_out_are_told_first(terminal: StringIO):
    owners = {f"case_{i}": str(i // 2) for i in range(24)}
    groups = Strata(columns={"id": {f"case_{i}": str(i) + "x" for i in range(24)}}, patients=owners)
    tables = {"A": table(0.1), "B": Table(table(0.0).rows[4:])}
    show_comparison(compare_tables(tables, strata=groups))
    said = terminal.getvalue()
    assert said.startswith("dice, higher is better: 22 cases of 11 patients, mean over 2 classes\n")
    assert "The cases of one patient count as one, by their mean.\n" in said
    assert "A: 2 cases that not all have: left out.\n" in said
    assert "id: no two cases share an entry, so it makes no groups.\n" in said
    assert re.search("group +patients +mean", said)
    assert "All groups have fewer than 10 patients: rough intervals." in said
