import json

from delineate.tracking.json_lines import JsonLines


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_each_row_is_an_object_in_full_precision(tmp_path):
    lines = JsonLines(tmp_path / "run" / "metrics.jsonl")
    lines.log_metrics({"loss": 1 / 3, "val_dice/left": 0.5}, step=7)
    assert rows(lines.path) == [{"step": 7, "loss": 1 / 3, "val_dice/left": 0.5}]


def test_a_figure_that_is_not_finite_is_null_and_the_row_stays_json(tmp_path):
    lines = JsonLines(tmp_path / "metrics.jsonl")
    lines.log_metrics({"loss": float("nan"), "lr": float("inf")}, step=1)
    assert rows(lines.path) == [{"step": 1, "loss": None, "lr": None}]


def test_a_resumed_file_drops_the_rows_after_the_state(tmp_path):
    first = JsonLines(tmp_path / "metrics.jsonl")
    first.log_metrics({"loss": 1.0}, step=1)
    state = first.state_dict()
    first.log_metrics({"loss": 99.0}, step=2)
    second = JsonLines(tmp_path / "metrics.jsonl")
    second.load_state_dict(state)
    second.log_metrics({"loss": 2.0}, step=2)
    assert [row["loss"] for row in rows(second.path)] == [1.0, 2.0]
