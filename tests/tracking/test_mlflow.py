import re

import numpy as np
import pytest
from PIL import Image

from delineate.errors import ConfigError
from delineate.tracking import MLflow

mlflow = pytest.importorskip("mlflow", reason="needs delineate[mlflow]")


def life(folder, state=None, **arguments):
    tracker = MLflow(folder, "fold 0", **arguments)
    tracker.log_hyperparams({"train": {"seed": 3}, "loss": [{"name": "Dice"}]})
    if state is not None:
        tracker.load_state_dict(state)
    return tracker


def history(tracker, name):
    return [(m.step, m.value) for m in tracker._connect().get_metric_history(tracker.id, name)]


def test_figures_panels_config_and_plan_are_read_back_from_the_run_folder(tmp_path):
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(tmp_path / "step_10.png")
    (tmp_path / "plan.json").write_text("{}")
    tracker = life(tmp_path)
    tracker.log_file(tmp_path / "plan.json")
    tracker.log_metrics({"loss": 0.5, "loss/Dice": 0.25, "val_dice/a (b)": 1.0}, step=10)
    tracker.log_picture("panels", tmp_path / "step_10.png", 10)
    tracker.finalize("success")
    client = tracker._connect()
    run = client.get_run(tracker.id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "fold 0"
    assert client.get_experiment(run.info.experiment_id).name == "delineate"
    assert run.data.params == {"train.seed": "3", "loss.0.name": "Dice"}
    assert run.data.metrics == {"loss": 0.5, "loss.Dice": 0.25, "val_dice.a _b_": 1.0}
    assert {f.path for f in client.list_artifacts(tracker.id)} == {"panels", "plan.json"}
    assert [f.path for f in client.list_artifacts(tracker.id, "panels")] == ["panels/step_10.png"]
    assert (tmp_path / "mlflow").is_dir()


def test_a_resumed_run_goes_on_and_has_no_step_twice(tmp_path):
    first = life(tmp_path)
    first.log_metrics({"loss": 1.0}, step=1)
    state = first.state_dict()
    first.log_metrics({"loss": 2.0}, step=2)
    first.finalize("failed")
    assert first._connect().get_run(first.id).info.status == "KILLED"
    second = life(tmp_path, state)
    for step in (2, 3):
        second.log_metrics({"loss": float(step), "val_dice": 0.5}, step=step)
    second.finalize("success")
    assert second.id == first.id
    assert history(second, "loss") == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert history(second, "val_dice") == [(2, 0.5), (3, 0.5)]
    assert second._connect().get_run(second.id).info.status == "FINISHED"


def test_a_run_that_was_deleted_is_begun_anew_with_its_config(tmp_path):
    tracker = life(tmp_path, {"id": "0" * 32, "step": 5})
    tracker.log_metrics({"loss": 1.0}, step=6)
    tracker.finalize("success")
    assert tracker.id != "0" * 32
    assert tracker._connect().get_run(tracker.id).data.params["train.seed"] == "3"


def test_a_store_that_cannot_be_opened_is_named_with_what_to_do(tmp_path):
    tracker = life(tmp_path, tracking_uri="nowhere://x")
    message = "MLflow at nowhere://x cannot open the run: "
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}.*or leave it out to write"):
        tracker.log_metrics({"loss": 1.0}, step=1)
