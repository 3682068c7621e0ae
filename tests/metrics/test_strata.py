import numpy as np
import pytest

from delineate.errors import DataError
from delineate.metrics import read_strata
from delineate.metrics.strata import groups_of, terciles


def write(path, text: str, encoding: str = "utf-8"):
    path.write_text(text, encoding=encoding)
    return path


def test_every_column_but_case_and_patient_groups_the_cases(tmp_path):
    path = write(tmp_path / "c.csv", "case,patient,site,age\na,p1,Ulm,40\nb,p1,Bern,\nc,,Ulm,50\n")
    found = read_strata(path)
    assert found.columns == {
        "site": {"a": "Ulm", "b": "Bern", "c": "Ulm"},
        "age": {"a": "40", "c": "50"},
    }
    assert found.patients == {"a": "p1", "b": "p1"}


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_columns_may_be_parted_as_excel_does_in_any_country(tmp_path, mark):
    text = f"case{mark} site \na {mark}Ulm\n"
    path = write(tmp_path / "c.csv", text, encoding="utf-8-sig")
    assert read_strata(path).columns == {"site": {"a": "Ulm"}}


def test_a_line_may_be_short_but_not_long(tmp_path):
    assert read_strata(write(tmp_path / "c.csv", "case,site\na\n")).columns == {"site": {}}
    path = write(tmp_path / "long.csv", "case,site\na,Ulm,3\n")
    with pytest.raises(DataError, match=r"long\.csv:2: more entries than the first line has"):
        read_strata(path)


def test_a_table_without_cases_is_refused(tmp_path):
    path = write(tmp_path / "c.csv", "id,site\na,Ulm\n")
    with pytest.raises(DataError, match="must name the column case; it names id, site"):
        read_strata(path)
    with pytest.raises(DataError, match="must name the column case; it names none"):
        read_strata(write(tmp_path / "empty.csv", ""))


def test_a_case_listed_twice_is_refused(tmp_path):
    path = write(tmp_path / "c.csv", "case,site\na,Ulm\na,Bern\n")
    with pytest.raises(DataError, match=r"c\.csv:3: the case 'a' has a line already"):
        read_strata(path)


def test_words_and_few_numbers_are_groups_as_they_are():
    assert list(groups_of({"a": "Ulm", "b": "Bern"}).values()) == ["Bern", "Ulm"]
    assert list(groups_of({"a": "10", "b": "9", "c": "9"}).values()) == ["9", "9", "10"]


def test_many_numbers_are_cut_in_three():
    found = groups_of({f"c{i}": str(i) for i in range(9)})
    assert list(dict.fromkeys(found.values())) == ["low, 0 to 2", "middle, 3 to 5", "high, 6 to 8"]
    assert found["c4"] == "middle, 3 to 5"


def test_a_number_that_is_not_finite_is_a_word():
    assert set(
        groups_of({str(i): text for i, text in enumerate("1234567")} | {"x": "nan"}).values()
    ) == {
        *"1234567",
        "nan",
    }


def test_thirds_are_as_equal_as_ties_allow():
    values = np.random.default_rng(0).normal(size=30)
    found = terciles({str(i): v for i, v in enumerate(values)})
    assert sorted(list(found.values()).count(name) for name in set(found.values())) == [10, 10, 10]
    tied = terciles({"a": 0, "b": 0, "c": 0, "d": 1})
    assert tied["a"] == tied["b"] == tied["c"] == "low, 0 to 0"
    assert tied["d"] == "high, 1 to 1"
    assert set(terciles({"a": 2.0, "b": 2.0}).values()) == {"low, 2 to 2"}
