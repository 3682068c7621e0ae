"""Label tables: regions to trees and back."""

import pytest

from delineate.datasets.declared import channel_names, declared_labels, write_regions
from delineate.datasets.phantom_nuclei import NUCLEI
from delineate.datasets.phantom_organs import ORGANS
from delineate.errors import DataError
from delineate.labels import Class, Labels


@pytest.mark.parametrize("labels", [NUCLEI.labels, ORGANS.labels], ids=["nuclei", "organs"])
def test_a_written_hierarchy_is_read_back_as_it_was(labels: Labels) -> None:
    assert declared_labels(write_regions(labels), where="x") == labels


def test_a_union_without_an_id_of_its_own_is_written_as_all_its_ids() -> None:
    table = write_regions(NUCLEI.labels)
    assert table["background"] == 0
    assert table["brainstem"] == list(range(1, 12))
    assert table["red_nucleus"] == 5


def test_what_the_children_leave_over_becomes_classes_of_their_own() -> None:
    found = declared_labels({"all": [1, 2, 5], "part": 5}, where="x")
    assert found.classes == (
        Class(name="all"),
        Class(name="all_1", id=1, parent="all"),
        Class(name="all_2", id=2, parent="all"),
        Class(name="part", id=5, parent="all"),
    )


def test_left_and_right_are_paired() -> None:
    found = declared_labels({"kidney_left": 1, "kidney_right": 2}, where="x")
    assert found.pairs == (("kidney_left", "kidney_right"),)


def test_channels_are_ordered_by_number_not_by_text() -> None:
    table = {str(i): f"c{i}" for i in (10, 2, 0, 1, 3, 4, 5, 6, 7, 8, 9)}
    assert channel_names(table, where="x") == tuple(f"c{i}" for i in range(11))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([], 'x: \'labels\' is []. Fix: a table such as {"background": 0, "liver": 1}.'),
        ({"a": "one"}, "x: the label 'a' has the id 'one'. Fix: give an integer."),
        ({"a": 1, "ignore": [2, 3]}, "x: the label 'ignore' has 2 ids. Fix: give it one."),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(table: object, message: str) -> None:
    with pytest.raises(DataError) as error:
        declared_labels(table, where="x")
    assert str(error.value) == message


def test_channel_names_must_be_numbered() -> None:
    with pytest.raises(DataError, match=r"x: the channel names are \{'a': 'T1'\}\. Fix: a table"):
        channel_names({"a": "T1"}, where="x")
