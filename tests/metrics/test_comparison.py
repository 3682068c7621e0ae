import json
from math import nan
from pathlib import Path

import numpy as np
import pytest

from delineate.errors import DataError
from delineate.metrics import (
    Difference,
    Ranking,
    Row,
    Strata,
    Table,
    compare,
    compare_tables,
    read_patients,
    read_tables,
    write_table,
)


def table(shift: float = 0.0, *, cases: int = 12, labels: tuple[str, ...] = ("a", "b")) -> Table:
    rng = np.random.default_rng(0)
    return Table(
        tuple(
            Row(
                case=f"case_{i}",
                label=label,
                values={
                    "dice": float(rng.uniform(0.5, 0.8) + shift),
                    "true_volume_ml": float(rng.uniform(1, 9)),
                },
            )
            for i in range(cases)
            for label in labels
        )
    )


SITES = Strata(
    columns={
        "site": {f"case_{i}": "Ulm" if i % 2 else "Bern" for i in range(12)},
        "id": {f"case_{i}": f"name {i}" for i in range(12)},
    },
    patients={},
)


def test_two_tables_have_a_difference_and_more_a_ranking():
    two = compare_tables({"A": table(0.1), "B": table()})
    assert two.whole == compare(table(0.1), table(), names=("A", "B"))
    assert (two.classes, two.subgroups) == ((), ())
    three = compare_tables({"A": table(0.1), "B": table(), "C": table(0.05)}, by_class=True)
    assert isinstance(three.whole, Ranking)
    assert [each.label for each in three.classes] == ["a", "b"]


def test_by_class_every_class_is_compared():
    found = compare_tables({"A": table(0.1), "B": table()}, by_class=True)
    assert [each.label for each in found.classes] == ["a", "b"]
    one = {name: table(labels=("a",)) for name in "AB"}
    assert compare_tables(one, by_class=True).classes == ()


def test_a_single_table_is_looked_at_by_size_and_by_column():
    found = compare_tables({"A": table()}, strata=SITES)
    assert found.whole is None
    assert [(each.column, each.label) for each in found.subgroups] == [
        ("site", None),
        ("true volume", "a"),
        ("true volume", "b"),
    ]
    assert {group.cases for group in found.subgroups[1].groups} == {4}
    assert found.no_groups == ("id",)
    assert all(each.adjusted >= each.p for each in found.subgroups)


def test_by_class_each_column_groups_each_class_too():
    found = compare_tables({"A": table()}, strata=SITES, by_class=True)
    assert [each.label for each in found.subgroups if each.column == "site"] == [None, "a", "b"]


def test_many_classes_are_grouped_by_size_only_where_asked():
    many = {"A": table(labels=tuple("abcd"))}
    assert len(compare_tables(many, strata=SITES).subgroups) == 1
    assert len(compare_tables(many, by_class=True).subgroups) == 4
    with pytest.raises(DataError, match="a single table is compared in subgroups, and there are"):
        compare_tables(many)


def test_of_two_tables_their_difference_is_grouped_of_more_each():
    gap = {f"case_{i}": 0.1 if i % 2 else 0.0 for i in range(12)}
    rows = table().rows
    better = Table(
        tuple(
            Row(case=r.case, label=r.label, values={"dice": r.values["dice"] + gap[r.case]})
            for r in rows
        )
    )
    two = compare_tables({"A": better, "B": table()}, strata=SITES)
    site = two.subgroups[0]
    assert site.names == ("A", "B")
    assert {g.name: pytest.approx(g.mean, abs=1e-12) for g in site.groups} == {
        "Bern": 0,
        "Ulm": 0.1,
    }
    assert site.p < 0.01
    three = compare_tables({"A": better, "B": table(), "C": table()}, strata=SITES)
    assert [s.names for s in three.subgroups if s.column == "site"] == [("A",), ("B",), ("C",)]


def test_a_csv_of_other_cases_is_refused():
    other = Strata(columns={"site": {"x": "Ulm"}}, patients={})
    with pytest.raises(DataError, match=r"names none of the cases, such as case_0\. Fix: write"):
        compare_tables({"A": table()}, strata=other)


def test_patients_of_the_csv_go_before_those_of_the_run():
    tables = {"A": table(0.1), "B": table()}
    run = {f"case_{i}": "all" for i in range(12)}
    csv = Strata(columns={}, patients={f"case_{i}": str(i // 2) for i in range(12)})
    assert compare_tables(tables, patients=run).patients == 1
    found = compare_tables(tables, patients=run, strata=csv)
    assert (found.cases, found.patients) == (12, 6)
    assert isinstance(found.whole, Difference)
    assert found.whole.cases == 6


def test_json_has_every_figure_and_null_for_none():
    one = Table((Row(case="x", label="a", values={"dice": 1.0}),))
    found = compare_tables({"A": one, "B": one}).to_json()
    text = json.dumps(found, allow_nan=False)
    assert json.loads(text)["whole"]["p"] is None
    assert found["whole"]["mean"] == 0
    assert found["direction"] == "higher"
    ranked = compare_tables({"A": table(), "B": table(), "C": table(0.1)}, by_class=True).to_json()
    assert ranked["whole"]["standings"][0]["name"] == "C"
    assert len(ranked["classes"][1]["pairs"]) == 3


@pytest.mark.parametrize(
    ("places", "names"),
    [
        (("runs/a", "runs/b"), ["a", "b"]),
        (("x/run/table.csv", "y/run/validation/table.csv"), ["x/run", "y/run"]),
        (("mine.csv", "theirs.csv"), ["mine", "theirs"]),
        (("v1.0", "v1.1"), ["v1.0", "v1.1"]),
    ],
)
def test_tables_are_named_by_what_tells_their_paths_apart(tmp_path, places, names):
    paths = [tmp_path / place for place in places]
    for path in paths:
        write_table(table(), path if path.suffix == ".csv" else path / "table.csv")
    assert list(read_tables(paths)) == names


def test_the_same_table_twice_is_refused(tmp_path):
    write_table(table(), tmp_path / "run" / "table.csv")
    with pytest.raises(DataError, match=r"table\.csv is given twice\. Fix: give different tables"):
        read_tables([tmp_path / "run", tmp_path / "run" / "table.csv"])


def save_cases(folder: Path, **groups: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    cases = [{"id": case, "group": group} for case, group in groups.items()]
    (folder / "cases.json").write_text(json.dumps({"training": cases[:1], "validation": cases[1:]}))


def test_a_run_and_its_folds_know_their_patients(tmp_path):
    save_cases(tmp_path / "run", a="p", b="p", c="")
    expected = {"a": "p", "b": "p", "c": "c"}
    assert read_patients(tmp_path / "run") == expected
    (tmp_path / "run" / "validation").mkdir()
    write_table(table(), tmp_path / "run" / "validation" / "table.csv")
    assert read_patients(tmp_path / "run" / "validation" / "table.csv") == expected
    save_cases(tmp_path / "cv" / "fold_0", a="p")
    save_cases(tmp_path / "cv" / "fold_1", b="q")
    assert read_patients(tmp_path / "cv") == {"a": "p", "b": "q"}
    assert read_patients(tmp_path / "elsewhere.csv") == {}


@pytest.mark.parametrize("text", ["[]", "{", '{"training": [{"id": 1}]}', "3"])
def test_a_broken_list_of_cases_is_named(tmp_path, text):
    (tmp_path / "cases.json").write_text(text)
    with pytest.raises(DataError, match=r"cases\.json: this is not the list of cases that a run"):
        read_patients(tmp_path)


def test_the_notes_count_what_was_left_out():
    short = Table(table(cases=10).rows)
    missing = Table(
        tuple(
            Row(case=r.case, label=r.label, values={"dice": nan})
            if r.case == "case_3" and r.label == "a"
            else r
            for r in table().rows
        )
    )
    found = compare_tables({"A": short, "B": missing})
    assert (found.cases, found.alone, found.blanks) == (10, (0, 2), (0, 1))
