from math import inf, nan

import numpy as np
import pytest

from delineate.errors import DataError
from delineate.metrics import Row, Table
from delineate.metrics.pairing import pair_tables


def table(figures: dict[str, tuple[float, ...]], metric: str = "dice", labels: str = "ab") -> Table:
    return Table(
        tuple(
            Row(case=case, label=label, values={metric: value})
            for case, values in figures.items()
            for label, value in zip(labels, values, strict=True)
        )
    )


def test_cases_and_classes_are_put_in_the_order_of_the_first_table():
    first = table({"x": (1, 2), "y": (3, 4)})
    second = table({"y": (30, 40), "z": (0, 0), "x": (10, 20)}, labels="ba")
    found = pair_tables((first, second), "dice")
    assert found.cases == found.units == ("x", "y")
    assert found.labels == ("a", "b")
    np.testing.assert_array_equal(found.values[1], [[20, 10], [40, 30]])
    assert found.alone == (0, 1)


def test_a_figure_that_one_table_lacks_counts_in_none():
    first = table({"x": (1.0, 5.0), "y": (2.0, nan)}, "hd95_mm")
    second = table({"x": (1.0, nan), "y": (2.0, nan)}, "hd95_mm")
    found = pair_tables((first, second), "hd95_mm")
    np.testing.assert_array_equal(found.complete, [[[1, nan], [2, nan]]] * 2)
    assert found.blanks == (0, 1)


def test_an_infinite_distance_is_no_value():
    found = pair_tables(
        (table({"x": (1.0, inf)}, "hd_mm"), table({"x": (1.0, 2.0)}, "hd_mm")), "hd_mm"
    )
    assert found.blanks == (1, 0)


def test_an_error_with_a_sign_counts_by_its_size():
    signed = table({"x": (-3.0, 2.0)}, "volume_difference_ml")
    np.testing.assert_array_equal(
        pair_tables((signed,), "volume_difference_ml").values, [[[3.0, 2.0]]]
    )


def test_a_patient_counts_as_the_mean_of_the_known_figures_of_its_cases():
    scans = table({"x1": (1.0, nan), "y": (5.0, 6.0), "x2": (3.0, 4.0)})
    found = pair_tables((scans,), "dice", patients={"x1": "x", "x2": "x"})
    assert found.units == ("x", "y")
    np.testing.assert_array_equal(found.by_unit(found.values), [[[2, 4], [5, 6]]])


def test_tables_that_do_not_belong_together_are_refused():
    one = table({"x": (1.0, 1.0)})
    with pytest.raises(DataError, match=r"the tables share no case\. Fix: evaluate the same"):
        pair_tables((one, table({"y": (1.0, 1.0)})), "dice")
    with pytest.raises(DataError, match="one table has the classes a, b, the other c, d"):
        pair_tables((one, table({"x": (1.0, 1.0)}, labels="cd")), "dice")
    with pytest.raises(DataError, match="no metric 'iou' in a table that has dice"):
        pair_tables((one, one), "iou")
