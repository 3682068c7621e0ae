import json
import logging
import re

import numpy as np
import pytest
from PIL import Image

from delineate.errors import ConfigError
from delineate.tracking import Sacred

pytest.importorskip("sacred", reason="needs delineate[sacred]")
# Sacred 0.8.7 itself uses them.
pytestmark = [
    pytest.mark.filterwarnings("ignore:pkg_resources is deprecated"),
    pytest.mark.filterwarnings("ignore:Deprecated call to `pkg_resources"),
    pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow"),
]


def life(folder, state=None, **arguments):
    tracker = Sacred(folder, "fold 0", **arguments)
    tracker.log_hyperparams({"train": {"seed": 3}, "loss": [{"name": "Dice"}]})
    if state is not None:
        tracker.load_state_dict(state)
    return tracker


def read(tracker, name):
    return json.loads((tracker.folder / "sacred" / tracker.id / name).read_text())


def test_figures_panels_log_config_and_plan_are_read_back_from_the_run_folder(tmp_path):
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(tmp_path / "step_10.png")
    (tmp_path / "plan.json").write_text("{}")
    tracker = life(tmp_path)
    tracker.log_file(tmp_path / "plan.json")
    tracker.log_metrics({"loss": 0.5, "loss/Dice": 0.25}, step=10)
    logging.getLogger("delineate").warning("step 10: a word")
    tracker.log_picture("panels", tmp_path / "step_10.png", 10)
    tracker.log_metrics({"loss": 0.4}, step=20)
    tracker.finalize("success")
    run, metrics = read(tracker, "run.json"), read(tracker, "metrics.json")
    assert run["status"] == "COMPLETED"
    assert run["experiment"]["name"] == "delineate"
    assert run["meta"] == {"comment": "fold 0"}
    assert run["artifacts"] == ["plan.json", "step_10.png"]
    assert read(tracker, "config.json") == {"train": {"seed": 3}, "loss": [{"name": "Dice"}]}
    assert metrics["loss"]["steps"] == [10, 20]
    assert metrics["loss"]["values"] == [0.5, 0.4]
    assert metrics["loss/Dice"]["values"] == [0.25]
    text = (tmp_path / "sacred" / tracker.id / "cout.txt").read_text()
    assert text.endswith(" WARNING step 10: a word\n")


def test_neither_random_numbers_nor_standard_output_are_touched(tmp_path, capsys):
    np.random.seed(5)  # noqa: NPY002 # the generator that Sacred would seed
    tracker = life(tmp_path)
    tracker.log_metrics({"loss": 0.5}, step=1)
    print("heard")
    tracker.finalize("success")
    drawn = np.random.random()  # noqa: NPY002 # as above
    np.random.seed(5)  # noqa: NPY002 # as above
    assert drawn == np.random.random()  # noqa: NPY002 # as above
    assert capsys.readouterr().out == "heard\n"


def test_a_resumed_run_goes_on_and_has_no_step_twice(tmp_path):
    first = life(tmp_path)
    first.log_metrics({"loss": 1.0}, step=1)
    logging.getLogger("delineate").warning("first life")
    state = first.state_dict()
    first.log_metrics({"loss": 99.0}, step=2)
    first.finalize("failed")
    assert read(first, "run.json")["status"] == "INTERRUPTED"
    second = life(tmp_path, state)
    for step in (2, 3):
        second.log_metrics({"loss": float(step)}, step=step)
    logging.getLogger("delineate").warning("second life")
    second.finalize("success")
    assert second.id == first.id
    assert read(second, "metrics.json")["loss"]["values"] == [1.0, 2.0, 3.0]
    run = read(second, "run.json")
    assert run["status"] == "COMPLETED"
    text = (tmp_path / "sacred" / second.id / "cout.txt").read_text()
    assert re.findall(r"\w+ life", text) == ["first life", "second life"]
    assert sorted(p.name for p in (tmp_path / "sacred").iterdir()) == ["1"]


def test_a_run_that_was_deleted_is_begun_anew(tmp_path):
    tracker = life(tmp_path, {"id": "7", "step": 5})
    tracker.log_metrics({"loss": 1.0}, step=6)
    tracker.finalize("success")
    assert read(tracker, "metrics.json")["loss"]["steps"] == [6]


def test_a_database_that_does_not_answer_is_named_with_what_to_do(tmp_path, monkeypatch):
    pytest.importorskip("pymongo", reason="needs delineate[sacred]")
    monkeypatch.setattr("delineate.tracking.sacred.ANSWER_MS", 50)
    tracker = life(tmp_path, mongo="mongodb://127.0.0.1:1")
    with pytest.raises(ConfigError, match=r"^Sacred cannot open the run in mongodb://127.0.0.1:1"):
        tracker.log_metrics({"loss": 1.0}, step=1)


@pytest.fixture
def database(monkeypatch):
    mongomock = pytest.importorskip("mongomock", reason="a MongoDB without a server")
    pymongo = pytest.importorskip("pymongo", reason="needs delineate[sacred]")
    pytest.importorskip("gridfs", reason="needs delineate[sacred]")
    from mongomock.gridfs import enable_gridfs_integration

    enable_gridfs_integration()
    client = mongomock.MongoClient()
    monkeypatch.setattr(pymongo, "MongoClient", lambda *args, **kwargs: client)
    return client["sacred"]


def test_a_mongo_database_gets_figures_apart_from_the_run_and_a_resumed_run_goes_on(
    tmp_path, database
):
    (tmp_path / "plan.json").write_text("{}")
    first = life(tmp_path, mongo="mongodb://somewhere")
    first.log_file(tmp_path / "plan.json")
    first.log_metrics({"loss": 1.0}, step=1)
    state = first.state_dict()
    first.log_metrics({"loss": 99.0}, step=2)
    first.finalize("failed")
    second = life(tmp_path, state, mongo="mongodb://somewhere")
    second.log_metrics({"loss": 2.0}, step=2)
    second.finalize("success")
    (run,) = database["runs"].find()
    assert (run["_id"], run["status"]) == (int(second.id), "COMPLETED")
    assert [a["name"] for a in run["artifacts"]] == ["plan.json"]
    assert [m["name"] for m in run["info"]["metrics"]] == ["loss"]
    (metric,) = database["metrics"].find()
    assert (metric["steps"], metric["values"]) == ([1, 2], [1.0, 2.0])
    assert read(second, "metrics.json")["loss"]["values"] == [1.0, 2.0]
