"""Which classes a training has: the documented remap, one of the schema, or all."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from delineate.errors import ConfigError, DataError
from delineate.systems.brainstem.classes import choose_classes, read_lookup
from delineate.systems.brainstem.schema import Remap, Schema, Structure
from delineate.systems.brainstem.schema_file import SHIPPED, read_schema

SCHEMA = read_schema(SHIPPED)
ALL_SIX = {4, 9, 29, 85, 99}


def test_six_classes_are_the_documented_remap():
    classes = choose_classes(SCHEMA, 6, found=ALL_SIX | {19, 333}, names={})
    assert [leaf.name for leaf in classes.labels.leaves] == [
        "red_nucleus",
        "brainstem",
        "pontine_nuclei",
        "inferior_colliculus",
        "medulla",
    ]
    mask = np.array([0, 4, 9, 29, 85, 99, 19, 333, 100])
    channels = classes.labels.encode(classes.keep(mask))
    assert channels.tolist() == [0, 1, 2, 3, 4, 5, 0, 0, 0]
    assert classes.labels.decode(channels).tolist() == [0, 4, 9, 29, 85, 99, 0, 0, 0]
    assert classes.part_of.tolist() == [0, 1, 0, 2, 1, 3]
    assert classes.labels.members("midbrain") == (1, 4)
    assert classes.labels.members("brainstem") == (1, 2, 3, 4, 5)


def test_a_schema_without_remaps_takes_those_of_the_shipped_one():
    bare = replace(SCHEMA, remaps={})
    assert choose_classes(bare, 6, found=ALL_SIX, names={}).labels.channels == 6
    flat = Schema(structures=(Structure(key="rn", name="rn", label_id=4),))
    classes = choose_classes(flat, 6, found=ALL_SIX, names={})
    assert classes.labels == choose_classes(SCHEMA, 6, found=ALL_SIX, names={}).labels
    assert classes.parts == ("midbrain", "pons", "medulla")


def test_a_remap_may_unite_ids():
    united = (Remap(name="nigra", label_ids=(102, 103), parent="midbrain"),)
    classes = choose_classes(replace(SCHEMA, remaps={2: united}), 2, found={102, 103}, names={})
    assert classes.keep(np.array([0, 102, 103, 4])).tolist() == [0, 102, 102, 0]
    assert classes.labels.names == ("midbrain", "brainstem", "nigra")


def test_all_takes_what_is_there_and_knows_names_of_the_rest(caplog: pytest.LogCaptureFixture):
    found = {9, 4, 29, 121, 333, 334}
    names = {333: "Thalamus left", 4: "Red nucleus", 121: "Cuneate"}
    with caplog.at_level(logging.WARNING):
        classes = choose_classes(SCHEMA, None, found=found, names=names)
    assert classes.labels.names == (
        "brainstem",
        "midbrain",
        "red_nucleus",
        "pons",
        "pontine_nuclei",
        "locus_coeruleus",
        "Thalamus left",
        "label_334",
    )
    assert classes.labels.channels == 7
    assert classes.part_of.tolist() == [0, 0, 1, 2, 2, 0, 0]
    assert caplog.messages == [
        "id 121 is 'Cuneate' in labels.txt and 'Locus coeruleus' in the schema, which is taken"
    ]
    same = choose_classes(SCHEMA, 7, found=found, names=names)
    assert same.labels == classes.labels


def test_only_names_of_other_words_are_told(caplog: pytest.LogCaptureFixture):
    line = (("b", 9), ("rn", 4), ("periaqueductal_gray", 100), ("locus_coeruleus", 121))
    facts = {"periaqueductal_gray": {"abbreviation": "PAG"}}
    schema = Schema(
        structures=tuple(
            Structure(key=key, name=key, label_id=number, facts=facts.get(key, {}))
            for key, number in line
        )
    )
    with caplog.at_level(logging.WARNING):
        choose_classes(schema, None, found={9, 4, 100, 121}, names={4: "RN", 100: "PAG"})
        assert not caplog.messages
        choose_classes(schema, None, found={9, 4, 100, 121}, names={121: "Pons", 200: "Cuneate"})
    assert len(caplog.messages) == 1


def test_classes_that_cannot_be_are_refused(caplog: pytest.LogCaptureFixture):
    with pytest.raises(ConfigError, match="num_classes is 5, for which the schema declares no"):
        choose_classes(SCHEMA, 5, found=ALL_SIX, names={})
    with pytest.raises(DataError, match="none of the ids that num_classes=6 asks for"):
        choose_classes(SCHEMA, 6, found={7, 8}, names={})
    with caplog.at_level(logging.WARNING):
        choose_classes(SCHEMA, 6, found={4, 9}, names={})
    assert "no mask holds pontine_nuclei, inferior_colliculus, medulla" in caplog.text
    odd = replace(SCHEMA, remaps={2: (Remap(name="a", label_ids=(4,), parent="nowhere"),)})
    with pytest.raises(DataError, match="name the parent 'nowhere'"):
        choose_classes(odd, 2, found={4}, names={})
    with pytest.raises(DataError, match="holds -1"):
        choose_classes(SCHEMA, 6, found={4}, names={}).keep(np.array([-1, 4]))


@pytest.mark.parametrize(
    "line",
    [
        "4 Red nucleus",
        "4: Red nucleus",
        "Red nucleus 4",
        "  4  Red nucleus  20 30 40 0",
        '4  20 30 40  1 1 1  "Red nucleus"',
        "4,Red nucleus",
    ],
)
def test_names_are_read_in_several_forms(tmp_path: Path, line: str):
    path = tmp_path / "labels.txt"
    path.write_text(f"# id name\n\n{line}\n")
    assert read_lookup(path) == {4: "Red nucleus"}


def test_a_number_is_part_of_a_name_unless_it_is_of_a_colour(tmp_path: Path):
    path = tmp_path / "labels.txt"
    path.write_text("1 Lamina 4\n2 Lamina 5  20 30 40 0\n3 Nigra  20 30 40\n")
    assert read_lookup(path) == {1: "Lamina 4", 2: "Lamina 5", 3: "Nigra"}


def test_a_line_without_an_id_is_said(tmp_path: Path):
    path = tmp_path / "labels.txt"
    path.write_bytes("4 Noyau g\xe9n\xe9ral".encode("latin-1"))
    with pytest.raises(DataError, match=r"labels\.txt: not readable \(.*Fix: a text in UTF-8"):
        read_lookup(path)
    path.write_text("id name\n4 Red nucleus\nnothing\n")
    with pytest.raises(DataError, match=r"labels\.txt:3: 'nothing' is no id and name"):
        read_lookup(path)
