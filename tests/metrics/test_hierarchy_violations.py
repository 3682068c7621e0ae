import math

import numpy as np

from delineate.labels import Class, Labels
from delineate.metrics import Measures, hierarchy_violations, score_masks

NESTED = Labels(
    classes=(
        Class(name="organ", id=0),
        Class(name="parts", parent="organ"),
        Class(name="tumour", id=1, parent="parts"),
        Class(name="other", id=2),
    ),
    overlapping=True,
)


def test_the_share_of_a_part_outside_the_whole_is_given():
    masks = np.zeros((3, 4, 5), np.uint8)
    masks[0, :2] = 1
    masks[1, 1:4, 0] = 1
    masks[2] = 1
    found = hierarchy_violations(masks, NESTED)
    assert found["tumour"] == 2 / 3
    assert all(math.isnan(found[name]) for name in ("organ", "parts", "other"))


def test_a_part_inside_the_whole_breaks_nothing_and_an_empty_one_says_nothing():
    masks = np.ones((3, 4, 5), np.uint8)
    assert hierarchy_violations(masks, NESTED)["tumour"] == 0
    masks[1] = 0
    assert math.isnan(hierarchy_violations(masks, NESTED)["tumour"])


def test_exclusive_labels_have_no_such_column():
    mask = np.ones((3, 3), np.uint8)
    measures = Measures(groups=("overlap", "hierarchy"))
    labels = Labels.from_names({"a": 1})
    (row,) = score_masks(mask, mask, labels, (1.0, 1.0), measures=measures)
    assert "hierarchy_violations" not in row.values
    masks = np.ones((3, 3, 3), np.uint8)
    rows = score_masks(masks, masks, NESTED, (1.0, 1.0), measures=measures)
    assert [r.values["hierarchy_violations"] for r in rows if r.label == "tumour"] == [0]
