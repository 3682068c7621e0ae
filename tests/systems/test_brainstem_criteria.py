"""What a schema asks of the nuclei that were held out, and who reaches it."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from delineate.errors import DataError
from delineate.io import Grid, Volume, write_mask
from delineate.labels import Class, Labels
from delineate.metrics.table import Row, Table, write_table
from delineate.systems.brainstem.criteria import (
    CRITERIA,
    Criteria,
    judge,
    read_criteria,
    write_verdicts,
)
from delineate.systems.brainstem.prepared import Prepared
from delineate.systems.brainstem.schema import Schema

WHERE = Path("schema.json")
LABELS = Labels.from_names({"red": 4, "pons": 2, "tiny": 7, "lost": 9})


def asked(**said) -> Criteria:
    return read_criteria(Schema(structures=(), rest={"validation_criteria": said}), WHERE)


def test_the_documented_keys_are_read():
    found = asked(
        dice_threshold=0.87,
        minimum_volume_voxels=100,
        anatomical_accuracy="\u00b1200\u03bcm of the atlas",
        connectivity_validation=True,
    )
    assert found == Criteria(dice=0.87, voxels=100, distance_mm=0.2, connected=True)
    assert asked(anatomical_accuracy="+-0.5 mm").distance_mm == 0.5
    assert asked(anatomical_accuracy=0.3).distance_mm == 0.3
    assert read_criteria(Schema(structures=()), WHERE) == Criteria()


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("dice_threshold", "high", "wants 0 to 1, got 'high'"),
        ("dice_threshold", 87, "wants 0 to 1, got 87"),
        ("minimum_volume_voxels", -1, "wants 0 or more, got -1"),
        ("anatomical_accuracy", "near", "wants a length such as '200 um' or '0.2 mm', got 'near'"),
    ],
)
def test_a_value_that_cannot_be_is_refused(key, value, words):
    with pytest.raises(DataError, match=rf"^schema.json: validation_criteria.{key} {words}"):
        asked(**{key: value})


def held_out(folder: Path) -> tuple[Prepared, Path]:
    """Two scans: red in two pieces more once, tiny under the limit, lost not found."""
    truth = np.zeros((1, 12, 12, 12), np.uint8)
    truth[0, 1:5, 1:5, 1:5] = 4
    truth[0, 7:11, 7:11, 7:11] = 2
    truth[0, 0, 0, 0] = 7
    truth[0, 1:4, 7:11, 1:4] = 9
    other = np.where(truth == 9, 0, truth)
    other[0, 0, 6, 0] = other[0, 6, 0, 0] = 4
    rows, lines = [], ["id,image_0,label,split", "c,c.nii,c_labels.nii.gz,train"]
    for case, predicted in (("a", truth), ("b", other)):
        like = Volume(array=truth, affine=np.eye(4), source=Grid(shape=(12,) * 3, affine=np.eye(4)))
        write_mask(folder / f"{case}_labels.nii.gz", truth, like)
        write_mask(folder / "validation" / f"{case}.nii.gz", predicted, like)
        lines.append(f"{case},{case}.nii,{case}_labels.nii.gz,validation")
        for name in LABELS.names:
            lost = case == "b" and name == "lost"
            figures = {"dice": 0.0, "assd_mm": math.nan} if lost else {"dice": 1.0, "assd_mm": 0.1}
            if (case, name) == ("b", "pons"):
                figures = {"dice": 0.6, "assd_mm": 0.5}
            rows.append(Row(case=case, label=name, values=figures))
    (folder / "cases.csv").write_text("\n".join(lines))
    write_table(Table(tuple(rows)), folder / "validation" / "table.csv")
    prepared = Prepared(
        table=folder / "cases.csv",
        labels_file=folder / "labels.json",
        labels=LABELS,
        training=1,
        spacing=(1.0,) * 3,
        shape=(12,) * 3,
        subdivisions=(),
        within=((0.0, 1.0),) * 3,
    )
    return prepared, folder / "validation"


def test_every_nucleus_that_is_large_enough_is_judged_by_all_that_is_asked(tmp_path, caplog):
    prepared, validation = held_out(tmp_path)
    criteria = Criteria(dice=0.75, voxels=10, distance_mm=0.2, connected=True)
    verdicts = {v.nucleus: v for v in judge(criteria, prepared, validation)}
    assert {name: v.missed for name, v in verdicts.items()} == {
        "red": ("pieces",),
        "pons": ("surface",),
        "lost": ("dice", "surface"),
    }
    assert verdicts["red"].pieces == 2
    assert (verdicts["pons"].dice, verdicts["pons"].surface_mm) == pytest.approx((0.8, 0.3))
    assert (verdicts["lost"].dice, verdicts["lost"].surface_mm) == (0.5, None)

    with caplog.at_level("INFO", "delineate"):
        write_verdicts(criteria, list(verdicts.values()), LABELS, tmp_path)
    assert caplog.messages == [
        "0 of 3 nuclei reach the schema's validation_criteria; 1 miss its dice; 2 miss its "
        f"surface; 1 miss its pieces; 1 are too small to be judged ({tmp_path / CRITERIA})"
    ]
    told = json.loads((tmp_path / CRITERIA).read_text())
    assert told["not_judged"] == ["tiny"]
    assert told["asked"]["dice"] == 0.75
    assert {n["nucleus"]: n["cases"] for n in told["nuclei"]} == {"red": 2, "pons": 2, "lost": 2}


def test_what_is_not_asked_is_not_missed(tmp_path, caplog):
    prepared, validation = held_out(tmp_path)
    verdicts = judge(Criteria(), prepared, validation)
    assert [(v.nucleus, v.missed) for v in verdicts] == [(n, ()) for n in LABELS.names]
    with caplog.at_level("INFO", "delineate"):
        write_verdicts(Criteria(), verdicts, LABELS, tmp_path)
    said = f"the schema asks for no validation_criteria ({tmp_path / CRITERIA})"
    assert caplog.messages == [said]


def test_what_holds_others_is_no_nucleus_though_it_has_an_id(tmp_path):
    prepared, validation = held_out(tmp_path)
    nested = Labels(
        classes=tuple(
            Class(name=name, id=number, parent=None if name == "pons" else "pons")
            for name, number in (("red", 4), ("pons", 2), ("tiny", 7), ("lost", 9))
        )
    )
    verdicts = judge(Criteria(voxels=10), replace(prepared, labels=nested), validation)
    assert [v.nucleus for v in verdicts] == ["red", "lost"]
    write_verdicts(Criteria(voxels=10), verdicts, nested, tmp_path)
    assert json.loads((tmp_path / CRITERIA).read_text())["not_judged"] == ["tiny"]
