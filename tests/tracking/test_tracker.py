import re
import sys
from argparse import Namespace

import pytest

from delineate.errors import MissingExtra
from delineate.tracking import MLflow, Sacred, TensorBoard, WandB
from delineate.tracking.tracker import Tracker, flat


class Notes(Tracker):
    """Writes down what it is asked to send."""

    def __init__(self, folder, name):
        super().__init__(folder, name)
        self.sent = []

    def _open(self):
        is_new, self.id = self.id is None, self.id or "one"
        self.sent.append(("open", is_new))
        return is_new

    def _send_figures(self, figures, step):
        self.sent.append((step, figures))

    def _send_picture(self, name, path, step):
        self.sent.append((step, name, path.name))

    def _send_config(self, config):
        self.sent.append(("config", config))

    def _send_file(self, path):
        self.sent.append(("file", path.name))

    def _flush(self):
        self.sent.append("flush")

    def _close(self, *, complete):
        self.sent.append(("close", complete))


@pytest.fixture
def notes(tmp_path):
    return Notes(tmp_path, "fold 0")


def test_a_tracker_of_your_own_that_leaves_something_out_cannot_be_made(tmp_path):
    class Half(Tracker):
        def _open(self):
            return True

    missing = "_close.*_flush.*_send_config.*_send_figures.*_send_file.*_send_picture"
    with pytest.raises(TypeError, match=f"abstract methods .*{missing}"):
        Half(tmp_path, "fold 0")


def test_nothing_is_opened_before_the_first_figure(notes, tmp_path):
    notes.log_hyperparams({"seed": 1})
    notes.log_file(tmp_path / "plan.json")
    notes.save()
    notes.finalize("success")
    assert notes.sent == []
    assert notes.version == ""


def test_config_and_files_are_sent_to_a_new_run_before_its_first_figure(notes, tmp_path):
    notes.log_hyperparams(Namespace(seed=1))
    notes.log_file(tmp_path / "plan.json")
    notes.log_metrics({"loss": 2.0}, step=10)
    notes.log_picture("panels", tmp_path / "a.png", 10)
    notes.finalize("failed")
    assert notes.sent == [
        ("open", True),
        ("config", {"seed": 1}),
        ("file", "plan.json"),
        (10, {"loss": 2.0}),
        (10, "panels", "a.png"),
        ("close", False),
    ]


def test_a_run_that_goes_on_is_not_told_its_config_again(notes, tmp_path):
    notes.log_metrics({"loss": 2.0}, step=10)
    state = notes.state_dict()
    assert state == {"id": "one", "step": 10}
    again = Notes(tmp_path, "fold 0")
    again.log_hyperparams({"seed": 1})
    again.load_state_dict(state)
    again.log_metrics({"loss": 1.0}, step=20)
    assert again.sent == [("open", False), (20, {"loss": 1.0})]


def test_a_state_flushes_an_open_run_only(notes):
    notes.state_dict()
    notes.log_metrics({}, step=1)
    notes.state_dict()
    assert notes.sent.count("flush") == 1


def test_a_run_is_closed_once(notes):
    notes.log_metrics({}, step=1)
    notes.finalize("success")
    notes.finalize("success")
    assert notes.sent.count(("close", True)) == 1


def test_a_nested_config_is_flattened_with_numbers_for_items_of_lists():
    config = {"loss": [{"name": "Dice"}, {"name": "Focal", "gamma": 2.0}], "patch": [1, 2], "a": {}}
    assert flat(config) == {
        "loss.0.name": "Dice",
        "loss.1.name": "Focal",
        "loss.1.gamma": 2.0,
        "patch": [1, 2],
        "a": {},
    }


def test_an_empty_config_has_no_keys():
    assert flat({}) == {}


@pytest.mark.parametrize(
    ("tracker", "package", "extra"),
    [
        (TensorBoard, "tensorboard", "tensorboard"),
        (WandB, "wandb", "wandb"),
        (MLflow, "mlflow", "mlflow"),
        (Sacred, "sacred", "sacred"),
    ],
)
def test_an_absent_package_is_named_with_its_extra_when_the_tracker_is_made(
    tracker, package, extra, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, package, None)
    message = f'{package} is not installed. Fix: pip install "delineate[{extra}]"'
    with pytest.raises(MissingExtra, match=f"^{re.escape(message)}$"):
        tracker(tmp_path, "run")
    assert not list(tmp_path.iterdir())
