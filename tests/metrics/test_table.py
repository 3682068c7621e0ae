import math

import numpy as np
import pytest

from delineate.errors import DataError
from delineate.metrics import (
    Row,
    Table,
    mean_interval,
    read_strata,
    read_table,
    summarise,
    write_table,
)

nan = math.nan


def table(**cases):
    return Table(
        tuple(
            Row(case=case, label=label, values={"dice": dice, "hd95_mm": 2 * dice})
            for case, dices in cases.items()
            for label, dice in zip("ab", dices, strict=False)
        )
    )


def test_the_mean_is_over_cases_of_the_means_over_classes():
    found = table(one=(1.0, 0.5), two=(0.0, nan), three=(0.6, 0.2))
    assert found.case_means("dice") == pytest.approx({"one": 0.75, "two": 0.0, "three": 0.4})
    assert found.class_means("dice") == pytest.approx({"a": 1.6 / 3, "b": 0.35})
    assert found.mean("dice") == pytest.approx((0.75 + 0.0 + 0.4) / 3)


def test_a_figure_without_any_value_has_a_nan_mean_and_no_warning():
    found = table(one=(nan, 1.0))
    assert math.isnan(found.class_means("dice")["a"])
    assert found.mean("dice") == 1


def test_a_row_that_is_missing_counts_as_no_value():
    found = table(one=(0.5, 0.7), two=(0.3,))
    assert np.isnan(found.values("dice")[1, 1])
    assert found.mean("dice") == pytest.approx((0.6 + 0.3) / 2)


def test_a_table_survives_csv_with_its_blanks(tmp_path):
    path = tmp_path / "new" / "table.csv"
    written = table(one=(1 / 3, nan), two=(0.25, 1.0))
    write_table(written, path)
    assert path.read_text().splitlines()[:3] == [
        "case,class,dice,hd95_mm",
        "one,a,0.333333333,0.666666667",
        "one,b,,",
    ]
    found = read_table(path)
    np.testing.assert_allclose(found.values("dice"), written.values("dice"), rtol=1e-8)
    assert found.cases == written.cases
    assert found.metrics == written.metrics
    assert [p.name for p in path.parent.iterdir()] == ["table.csv"]


def test_an_entry_that_is_no_number_is_named_with_its_line(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("case,class,dice\none,a,0.5\none,b,good\n")
    with pytest.raises(DataError, match=r"table\.csv:3: .*'good'.* is no number\."):
        read_table(path)


@pytest.mark.parametrize("line", ["one,b", "one,b,0.5,0.7"])
def test_a_line_of_another_length_than_the_first_is_refused(tmp_path, line):
    path = tmp_path / "table.csv"
    path.write_text(f"case,class,dice\none,a,0.5\n{line}\n")
    with pytest.raises(DataError, match=r"table\.csv:3: .* more or fewer entries"):
        read_table(path)


def test_a_table_that_a_spreadsheet_saved_is_read(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("case,class,dice\none,a,0.5\n", encoding="utf-8-sig")
    assert read_table(path).mean("dice") == 0.5


def test_a_line_that_comes_twice_is_refused(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("case,class,dice\none,a,0.5\none,a,0.7\n")
    with pytest.raises(DataError, match=r"table\.csv:3: a of one has a line already"):
        read_table(path)


@pytest.mark.parametrize("read", [read_table, read_strata])
def test_a_csv_in_another_encoding_is_refused(tmp_path, read):
    path = tmp_path / "table.csv"
    path.write_text("case,class,dice\nZ\u00fcrich,a,0.5\n", encoding="latin-1")
    with pytest.raises(DataError, match=r"table\.csv: this is no text in UTF-8"):
        read(path)


def test_a_table_without_its_key_columns_is_refused(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("id,dice\none,0.5\n")
    with pytest.raises(DataError, match="must name the columns case and class"):
        read_table(path)


def test_an_unknown_metric_names_those_that_are_there():
    with pytest.raises(ValueError, match=r"no metric 'iou'; the table has dice, hd95_mm"):
        table(one=(1, 1)).mean("iou")


def test_the_printable_form_ends_with_the_mean():
    found = table(one=(1.0, 0.5), two=(0.0, nan))
    columns, rows = summarise(found)
    assert columns == ["class", "dice", "hd95_mm"]
    assert rows[-1] == ["mean", 0.375, 0.75]
    assert str(found).splitlines() == [
        "class    dice  hd95_mm",
        "a      0.5000   1.0000",
        "b      0.5000   1.0000",
        "mean   0.3750   0.7500",
    ]


def test_the_interval_is_seeded_and_near_the_normal_one():
    values = np.random.default_rng(2).normal(0.8, 0.1, 400)
    low, high = mean_interval(values)
    half = 1.96 * values.std() / 20
    assert (low, high) == mean_interval(values)
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)
    assert mean_interval(values, level=0.5)[0] > low


def test_the_interval_leaves_nan_out_and_needs_two_cases():
    assert mean_interval([0.2, nan, 0.2]) == pytest.approx((0.2, 0.2))
    assert all(math.isnan(v) for v in mean_interval([0.2, nan]))
    assert all(math.isnan(v) for v in table(one=(1.0, 0.5)).interval("dice"))
