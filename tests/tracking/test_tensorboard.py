import numpy as np
import pytest
from PIL import Image

from delineate.tracking import TensorBoard

accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="needs delineate[tensorboard]"
)


def read(tracker):
    events = accumulator.EventAccumulator(str(tracker.events), size_guidance={"scalars": 0})
    return events.Reload()


def curve(tracker, name):
    return [(event.step, event.value) for event in read(tracker).Scalars(name)]


def test_figures_panels_config_and_plan_are_read_back(tmp_path):
    Image.fromarray(np.full((4, 6, 3), 200, np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "plan.json").write_text('{"patch": "<8>"}')
    tracker = TensorBoard(tmp_path, "run")
    tracker.log_hyperparams({"train": {"seed": 3}})
    tracker.log_file(tmp_path / "plan.json")
    tracker.log_metrics({"loss": 0.5, "loss/Dice": 0.25}, step=10)
    tracker.log_picture("panels", tmp_path / "a.png", 10)
    tracker.finalize("success")
    events = read(tracker)
    assert curve(tracker, "loss/Dice") == [(10, 0.25)]
    (image,) = events.Images("panels")
    assert (image.step, image.width, image.height) == (10, 6, 4)
    (config,) = events.Tensors("config/text_summary")
    assert b"| train.seed | 3 |" in config.tensor_proto.string_val[0]
    (plan,) = events.Tensors("plan.json/text_summary")
    assert plan.tensor_proto.string_val[0] == b'<pre>{"patch": "&lt;8&gt;"}</pre>'


def test_a_resumed_run_shows_no_step_of_the_lost_branch(tmp_path):
    first = TensorBoard(tmp_path, "run")
    for step in (1, 2):
        first.log_metrics({"loss": float(step)}, step=step)
    state = first.state_dict()
    for step in (3, 4, 5):
        first.log_metrics({"loss": 99.0}, step=step)
    first.finalize("failed")
    second = TensorBoard(tmp_path, "run")
    second.load_state_dict(state)
    for step in (3, 4):
        second.log_metrics({"loss": float(step)}, step=step)
    second.finalize("success")
    assert curve(second, "loss") == [(s, float(s)) for s in (1, 2, 3, 4)]


def test_a_run_that_is_begun_anew_hides_the_one_before(tmp_path):
    for loss in (99.0, 1.0):
        tracker = TensorBoard(tmp_path, "run")
        tracker.log_metrics({"loss": loss}, step=1)
        tracker.finalize("success")
    assert curve(tracker, "loss") == [(1, 1.0)]
