"""The schema of labels: read, written, and what follows from it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from delineate.errors import DataError
from delineate.systems.brainstem.schema_file import SHIPPED, read_schema, write_schema

PARTS = {
    "midbrain": (100, 101, 102, 103, 4, 105, 106, 107, 85, 109, 110, 111),
    "pons": (29, *range(121, 132)),
    "medulla": tuple(range(140, 152)),
}


def write(path: Path, data: Any) -> Path:
    path.write_text(json.dumps(data))
    return path


def test_the_shipped_schema_has_the_documented_nuclei():
    schema = read_schema(SHIPPED)
    found = {s.key: s for s in schema.nuclei}
    assert len(found) == 36
    for part, ids in PARTS.items():
        assert tuple(s.label_id for s in schema.nuclei if s.parent == part) == ids
        assert (
            schema.structure(part).label_range
            == {
                "midbrain": (100, 119),
                "pons": (120, 139),
                "medulla": (140, 159),
            }[part]
        )
    assert {s.key for s in schema.outside_ranges} == {
        "red_nucleus",
        "inferior_colliculus",
        "pontine_nuclei",
    }
    assert schema.structure("brainstem").label_id == 9
    assert {s.facts["functional_class"] for s in schema.nuclei} == set(schema.colours)
    assert schema.colour(found["locus_coeruleus"]) == (100, 100, 255)
    assert schema.rest["validation_criteria"]["dice_threshold"] == 0.87
    assert set(schema.rest["nextbrain_mapping"]["existing_labels"]) == {
        "4",
        "9",
        "19",
        "29",
        "85",
        "99",
    }


def test_raw_ids_fall_into_their_subdivisions():
    schema = read_schema(SHIPPED)
    mask = np.arange(200).reshape(10, 20)
    found = schema.subdivide(mask).ravel()
    for number, ids in enumerate(PARTS.values(), 1):
        assert set(np.flatnonzero(found == number)) == set(ids)


def test_a_schema_that_is_written_is_read_as_it_was(tmp_path: Path):
    schema = read_schema(SHIPPED)
    write_schema(schema, tmp_path / "deep" / "schema.json")
    assert read_schema(tmp_path / "deep" / "schema.json") == schema
    data = json.loads((tmp_path / "deep" / "schema.json").read_text())
    original = json.loads(SHIPPED.read_text())
    assert data == original
    assert data["hierarchy"]["brainstem"]["subdivisions"]["pons"]["nuclei"]["kolliker_fuse_nucleus"]
    write_schema(read_schema(str(SHIPPED)), str(tmp_path / "text.json"))
    assert read_schema(tmp_path / "text.json") == read_schema(SHIPPED)


def test_any_depth_is_read_and_written(tmp_path: Path):
    tree = {
        "brain": {
            "name": "Brain",
            "subdivisions": {
                "thalamus": {
                    "nuclei": {
                        "lateral": {"children": {"vl": {"label_id": 5}, "vp": {"label_id": 6}}},
                        "md": {"label_id": 7},
                    }
                }
            },
        }
    }
    schema = read_schema(write(tmp_path / "a.json", {"hierarchy": tree}))
    assert schema.line("vl") == ("vl", "lateral", "thalamus", "brain")
    assert schema.subdivide(np.array([5, 6, 7, 8])).tolist() == [1, 1, 1, 0]
    write_schema(schema, tmp_path / "b.json")
    assert read_schema(tmp_path / "b.json") == schema


def test_labels_of_other_files_are_a_schema_too(tmp_path: Path):
    labels = {"classes": [{"name": "stem"}, {"name": "rn", "id": 3, "parent": "stem"}]}
    schema = read_schema(write(tmp_path / "labels.json", labels))
    assert schema.line("rn") == ("rn", "stem")
    assert schema.structure("rn").label_id == 3


@pytest.mark.parametrize(
    ("hierarchy", "says"),
    [
        ({}, "structures by key are wanted"),
        ({"a": 3}, "'a' is 3"),
        ({"a": {}}, "'a' has no label_id"),
        ({"a": {"label_id": "x"}}, "'a' has the label_id 'x'"),
        ({"a": {"label_id": 3}, "b": {"label_id": 3}}, "the label_id 3 is used twice"),
        ({"a": {"label_id": 3, "label_range": [5, 4]}}, "'a' has the label_range"),
        ({"a": {"label_id": 3, "label_range": ["1", 4]}}, "'a' has the label_range"),
        ({"a": {"label_id": True}}, "'a' has the label_id True"),
        ({"a": {"nuclei": "rn"}}, "has 'rn' where structures by key are wanted"),
        ({"a": {"nuclei": [{"label_id": 3}]}}, "where structures by key are wanted"),
        ({"a": {"nuclei": {"b": {"label_id": 1}}, "children": {"b": {"label_id": 2}}}}, "key 'b'"),
    ],
)
def test_a_broken_hierarchy_says_what_is_wrong(tmp_path: Path, hierarchy: Any, says: str):
    path = write(tmp_path / "a.json", {"hierarchy": hierarchy})
    with pytest.raises(DataError, match=says) as caught:
        read_schema(path)
    assert str(caught.value).startswith(str(path))


def test_a_byte_order_mark_is_no_fault_and_a_key_that_comes_twice_is(tmp_path: Path):
    path = tmp_path / "a.json"
    path.write_text('{"hierarchy": {"a": {"label_id": 1}}}', encoding="utf-8-sig")
    assert read_schema(path).structure("a").label_id == 1
    path.write_text('{"a": 1}', encoding="utf-8-sig")
    assert read_schema(path).structure("a").label_id == 1
    path.write_text('{"hierarchy": {"a": {"label_id": 1}, "a": {"label_id": 2}}}')
    with pytest.raises(DataError, match="a table has the key 'a' twice"):
        read_schema(path)


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        (([], [2]), "'3' wants label_ids above 0 in each class"),
        (([0], [2]), "'3' wants label_ids above 0 in each class"),
        (([1, 2], [2]), "'3': the label_id 2 is used twice"),
    ],
)
def test_the_classes_of_a_remap_have_ids_of_their_own(tmp_path: Path, ids: Any, says: str):
    remaps = {"3": [{"name": n, "label_ids": own} for n, own in zip("ab", ids, strict=True)]}
    data = {"hierarchy": {"a": {"label_id": 1}}, "class_remaps": remaps}
    with pytest.raises(DataError, match=says):
        read_schema(write(tmp_path / "a.json", data))


def test_a_remap_lists_as_many_classes_as_it_says(tmp_path: Path):
    remaps = {"3": [{"name": "a", "label_ids": [1]}]}
    data = {"hierarchy": {"a": {"label_id": 1}}, "class_remaps": remaps}
    with pytest.raises(DataError, match=r"'3' lists 1 classes\. Fix: 2 of them"):
        read_schema(write(tmp_path / "a.json", data))
    data["class_remaps"] = {"two": []}
    with pytest.raises(DataError, match="class_remaps cannot be read"):
        read_schema(write(tmp_path / "a.json", data))
    with pytest.raises(DataError, match="no such file"):
        read_schema(tmp_path / "none.json")
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(DataError, match="not a readable JSON file"):
        read_schema(tmp_path / "b.json")
