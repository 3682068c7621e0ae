import json
import re
import struct
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from delineate.errors import ConfigError
from delineate.tracking import WandB


class Run:
    """Keeps what a run of W&B is told."""

    def __init__(self, **asked):
        self.asked, self.rows, self.told, self.saved, self.code = asked, [], {}, [], None
        self.config = SimpleNamespace(update=lambda config, **_: self.told.update(config))

    def log(self, row, step):
        self.rows.append((step, row))

    def save(self, path, *, base_path, policy):
        self.saved.append((path, base_path, policy))

    def finish(self, exit_code):
        self.code = exit_code


@pytest.fixture
def runs(monkeypatch):
    """The runs that are opened, of a stand-in: the package takes seconds to import and to begin."""
    opened = []

    def init(**asked):
        (Path(asked["dir"]) / "wandb").mkdir(exist_ok=True)
        opened.append(Run(**asked))
        return opened[-1]

    stand_in = SimpleNamespace(
        init=init, Settings=lambda **settings: settings, Image=lambda path: path, Error=OSError
    )
    monkeypatch.setitem(sys.modules, "wandb", stand_in)
    return opened


@pytest.fixture(autouse=True)
def no_account(tmp_path, monkeypatch):
    for name in ("WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def records(tracker):
    """What the offline runs of the folder hold, oldest first."""
    from wandb.proto import wandb_internal_pb2

    found = []
    for path in sorted((tracker.folder / "wandb").glob("offline-run-*/*.wandb")):
        for data in unpacked(path.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            found.append(record)
    return found


def wait_until_written(tracker, *, runs):
    """W&B's own process ends a run's file a moment after `finish` has returned."""
    until = time.monotonic() + 30
    while sum(r.WhichOneof("record_type") == "exit" for r in records(tracker)) < runs:
        assert time.monotonic() < until, "W&B has not ended its files"
        time.sleep(0.05)


def unpacked(log):
    """The records of LevelDB's log format: pieces in blocks of 32 kB, after W&B's own 7 bytes."""
    place, record = 7, b""
    while place < len(log):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", log[place : place + 7])
        record += log[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            yield record
            record = b""


def rows(tracker):
    found = []
    for record in records(tracker):
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            row = {i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in items}
            found.append((row["_step"], {k: v for k, v in row.items() if not k.startswith("_")}))
    return found


def two_lives(tmp_path, *, apart=0.0):
    """A run that breaks off behind its last state, and goes on from there.

    Args:
        apart: seconds between the two; W&B names its folders by the second.
    """
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "plan.json").write_text("{}")
    first = WandB(tmp_path, "fold 0")
    first.log_hyperparams({"train": {"seed": 3}})
    first.log_file(tmp_path / "plan.json")
    first.log_metrics({"loss": 0.5, "loss/Dice": 0.25}, step=10)
    first.log_picture("panels", tmp_path / "a.png", 10)
    state = first.state_dict()
    first.log_metrics({"loss": 0.4}, step=20)
    first.finalize("failed")
    time.sleep(apart)
    second = WandB(tmp_path, "fold 0")
    second.load_state_dict(state)
    for step, loss in ((20, 0.4), (30, 0.3)):
        second.log_metrics({"loss": loss}, step=step)
    second.finalize("success")
    return first, second


def test_figures_panels_config_and_plan_are_sent_and_no_step_twice(tmp_path, runs):
    first, second = two_lives(tmp_path)
    assert second.id == first.id
    assert [run.asked["id"] for run in runs] == [first.id] * 2
    assert {run.asked["mode"] for run in runs} == {"offline"}
    assert {(run.asked["name"], run.asked["project"]) for run in runs} == {("fold 0", "delineate")}
    assert runs[0].rows == [
        (10, {"loss": 0.5, "loss/Dice": 0.25}),
        (10, {"panels": str(tmp_path / "a.png")}),
        (20, {"loss": 0.4}),
    ]
    assert runs[1].rows == [(30, {"loss": 0.3})]
    assert [run.told for run in runs] == [{"train.seed": 3}, {}]
    plan = tmp_path / "plan.json"
    assert runs[0].saved == [(str(plan), str(tmp_path.parent), "now")]
    assert [run.code for run in runs] == [1, 0]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("wandb") is None, reason="needs delineate[wandb]")
# W&B's own.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_offline_run_holds_figures_panels_config_and_plan_and_goes_on_under_its_id(tmp_path):
    first, second = two_lives(tmp_path, apart=1.1)
    assert second.id == first.id
    wait_until_written(second, runs=2)
    found = rows(second)
    assert found[0][0] == 10
    assert found[0][1]["loss/Dice"] == 0.25
    assert (found[0][1]["panels/width"], found[0][1]["panels/height"]) == (6, 4)
    assert found[1:] == [(20, {"loss": 0.4}), (30, {"loss": 0.3})]
    runs = [r.run for r in records(second) if r.WhichOneof("record_type") == "run"]
    assert {(r.run_id, r.display_name, r.project) for r in runs} == {
        (first.id, "fold 0", "delineate")
    }
    updates = [r.config for r in records(second) if r.WhichOneof("record_type") == "config"]
    config = {u.key or u.nested_key[0]: u.value_json for c in updates for u in c.update}
    assert config["train.seed"] == "3"
    assert list(tmp_path.glob(f"wandb/offline-run-*/files/{tmp_path.name}/plan.json"))


@pytest.mark.usefixtures("runs")
def test_without_a_key_auto_is_offline(tmp_path):
    assert not WandB(tmp_path, "run").is_online


@pytest.mark.usefixtures("runs")
def test_a_key_in_the_environment_or_in_netrc_makes_auto_online(tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password secret\n")
    (tmp_path / "netrc").chmod(0o600)
    assert WandB(tmp_path, "run").is_online
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.my-lab.org")
    assert not WandB(tmp_path, "run").is_online
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    assert WandB(tmp_path, "run").is_online
    assert not WandB(tmp_path, "run", mode="offline").is_online


@pytest.mark.usefixtures("runs")
def test_online_without_a_key_is_refused_before_any_data_is_read(tmp_path):
    message = (
        "WandB: mode is online, but there is no API key. Fix: `wandb login`, or set "
        "WANDB_API_KEY, or take mode: offline."
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        WandB(tmp_path, "run", mode="online")
