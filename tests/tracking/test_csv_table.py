import csv

import pytest

from delineate.tracking.csv_table import CsvTable


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_figure_that_is_not_known_is_blank(tmp_path):
    table = CsvTable(tmp_path / "run" / "metrics.csv", ["loss", "val_dice"])
    table.log_metrics({"loss": 0.123456789}, step=1)
    table.log_metrics({"val_dice": 0.5}, step=2)
    assert rows(table.path) == [
        {"step": "1", "loss": "0.123457", "val_dice": ""},
        {"step": "2", "loss": "", "val_dice": "0.5"},
    ]


def test_a_figure_without_a_column_is_refused_by_name(tmp_path):
    table = CsvTable(tmp_path / "metrics.csv", ["loss"])
    with pytest.raises(ValueError, match=r"no column for \['dice'\]"):
        table.log_metrics({"dice": 1.0}, step=1)


def test_rows_that_came_after_the_state_are_cut_off(tmp_path):
    table = CsvTable(tmp_path / "metrics.csv", ["loss"])
    table.log_metrics({"loss": 1.0}, step=1)
    state = table.state_dict()
    table.log_metrics({"loss": 2.0}, step=2)
    again = CsvTable(tmp_path / "metrics.csv", ["loss"])
    again.load_state_dict(state)
    again.log_metrics({"loss": 3.0}, step=2)
    assert (tmp_path / "metrics.csv").read_text().split() == ["step,loss", "1,1", "2,3"]


def test_the_first_row_of_a_new_run_makes_the_table_anew(tmp_path):
    for loss in (1.0, 2.0):
        CsvTable(tmp_path / "metrics.csv", ["loss"]).log_metrics({"loss": loss}, step=1)
    assert (tmp_path / "metrics.csv").read_text().split() == ["step,loss", "1,2"]
