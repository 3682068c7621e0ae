import csv

import pytest

from delineate.engine.tracking import CsvTable


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
