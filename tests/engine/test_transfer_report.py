import json

from delineate.engine.transfer_report import Report, Row

REPORT = Report(
    source="an nnU-Net checkpoint",
    rows=(
        Row(name="a.weight", source="a.weight", status="loaded", shape=(4, 2)),
        Row(
            name="b.weight", source="x.b.weight", status="adapted", shape=(2,), note="kernel 3 to 5"
        ),
        Row(
            name="c.weight", source="c.weight", status="skipped", shape=(6,), note="8 there, 6 here"
        ),
        Row(name="c.bias", source=None, status="left", shape=()),
        Row(name=None, source="d", status="skipped", shape=(9,), note="no place in the network"),
    ),
    notes=("kernels turned",),
)


def test_shares_are_of_the_networks_numbers_and_counts_of_all_weights():
    assert [REPORT.count(s) for s in ("loaded", "adapted", "skipped", "left")] == [1, 1, 2, 1]
    assert REPORT.share("loaded") == 8 / 17
    assert REPORT.share("loaded", "adapted") == 10 / 17
    assert REPORT.share("skipped") == 6 / 17


def test_the_table_is_aligned_and_begins_with_the_summary():
    assert str(REPORT).splitlines() == [
        "weights from an nnU-Net checkpoint: 1 loaded (47.1 %), 1 adapted (11.8 %), "
        "2 skipped (35.3 %), 1 left (5.9 %)",
        "kernels turned",
        "",
        "status   weight    shape  from        how or why",
        "loaded   a.weight  4x2    =",
        "adapted  b.weight  2      x.b.weight  kernel 3 to 5",
        "skipped  c.weight  6      =           8 there, 6 here",
        "left     c.bias    1      -",
        "skipped  -         9      d           no place in the network",
    ]


def test_the_report_is_plain_data():
    data = json.loads(json.dumps(REPORT.to_json()))
    assert data["counts"] == {"loaded": 1, "adapted": 1, "skipped": 2, "left": 1}
    assert data["weights"][1] == {
        "name": "b.weight",
        "source": "x.b.weight",
        "status": "adapted",
        "shape": [2],
        "note": "kernel 3 to 5",
    }
    assert data["summary"] == REPORT.summary
