import json
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sadaan_commands import SHORT, commands, write_set

from delineate.errors import DataError
from delineate.systems.sadaan import experiment
from delineate.systems.sadaan.experiment import main
from delineate.systems.sadaan.settings import Settings

# Sacred 0.8.7 itself uses them.
pytestmark = [
    pytest.mark.filterwarnings("ignore:pkg_resources is deprecated"),
    pytest.mark.filterwarnings("ignore:Deprecated call to `pkg_resources"),
    pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow"),
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def alone(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without Sacred."""
    monkeypatch.setattr(experiment, "_missing_sacred", lambda: "Sacred is not installed")
    return here


@pytest.fixture
def sacred(here: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("sacred", reason="needs delineate[sacred]", exc_type=ImportError)
    return here


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """What a training is asked for, instead of one."""
    asked: list[Settings] = []

    def train(settings: Settings, journal: Any = None) -> SimpleNamespace:
        asked.append(settings)
        if journal is not None:
            for step in range(1000):
                journal.log_scalar("train.batch.total", 1.0 / (step + 1), step)
        print("epoch 1")
        return SimpleNamespace(figures={"mean_dice": 0.5})

    stub = SimpleNamespace(train=train)
    monkeypatch.setitem(sys.modules, "delineate.systems.sadaan.training", stub)
    return asked


def test_without_sacred_the_same_words_train(alone: Path, trained, capsys):
    main(["with", "training.batch_size=8", "loss_weights={'dice': 4}"])
    assert trained[0].training.batch_size == 8
    assert trained[0].loss_weights.dice == 4
    said = capsys.readouterr().err
    assert said.startswith("Sacred is not installed: nothing is kept below sacred_runs/.")
    assert said.endswith('Fix: pip install "delineate[sacred]"\n')


def test_without_sacred_the_configuration_is_printed(alone: Path, trained, capsys):
    main(["print_config", "with", "training.batch_size=8"])
    shown = capsys.readouterr().out
    assert shown.startswith("Configuration:\n  augmentation:\n    enabled = True\n")
    assert "    batch_size = 8\n" in shown
    assert not trained


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-m", "host:27017:sadaan"], "-m: Sacred is not installed, which reads this."),
        (["save_config"], "save_config: Sacred is not installed. Without it there are: "),
        (["with", "mine.json"], "mine.json: Sacred is not installed, which reads this."),
    ],
)
def test_without_sacred_what_needs_it_says_so(alone: Path, trained, capsys, words, said):
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith(said)


def test_a_slip_ends_with_one_message_and_exit_code_2(here: Path, trained, capsys):
    with pytest.raises(SystemExit) as left:
        main(["with", "training.epochs=3"])
    assert left.value.code == 2
    assert capsys.readouterr().err == (
        "unknown key 'training.epochs'. Did you mean 'training.num_epochs'?\n"
    )


def test_sacred_keeps_a_run_below_sacred_runs(sacred: Path, trained, capfd):
    main(["with", "training.batch_size=8", "loss_weights={'dice': 4}"])
    assert trained[0].training.batch_size == 8
    run = sacred / "sacred_runs" / "1"
    config = json.loads((run / "config.json").read_text())
    assert config["training"]["batch_size"] == 8
    assert (config["loss_weights"]["dice"], config["loss_weights"]["focal_seg"]) == (4, 1.0)
    facts = json.loads((run / "run.json").read_text())
    assert (facts["status"], facts["result"]) == ("COMPLETED", {"mean_dice": 0.5})
    metrics = json.loads((run / "metrics.json").read_text())
    assert len(metrics["train.batch.total"]["values"]) == 1000
    assert "epoch 1" in (run / "cout.txt").read_text()


@pytest.mark.slow
def test_every_documented_command_line_runs_under_sacred(sacred: Path, trained, capfd):
    for line in commands():
        main(line)
    assert len(trained) == 31
    assert trained[29].loss_weights.dice == 4.0
    assert len(list((sacred / "sacred_runs").glob("[0-9]*"))) == 31


def test_commands_of_sacred_work_and_leave_no_run(sacred: Path, trained, capfd):
    main(["print_config", "with", "training.batch_size=8"])
    shown = capfd.readouterr().out
    assert "batch_size = 8" in shown
    assert not (sacred / "sacred_runs").exists()
    assert not trained


def test_another_folder_of_files_takes_the_place_of_ours(sacred: Path, trained, capfd):
    main(["-F", "elsewhere"])
    assert (sacred / "elsewhere" / "1" / "run.json").is_file()
    assert not (sacred / "sacred_runs").exists()


def test_a_mistake_in_a_training_is_one_message_and_a_failed_run(sacred: Path, monkeypatch, capfd):
    def train(settings: Settings, journal: object) -> None:
        raise DataError("the scans are gone")

    stub = SimpleNamespace(train=train)
    monkeypatch.setitem(sys.modules, "delineate.systems.sadaan.training", stub)
    with pytest.raises(SystemExit) as left:
        main([])
    assert left.value.code == 2
    assert capfd.readouterr().err.splitlines()[-1] == "the scans are gone"
    assert json.loads(Path("sacred_runs/1/run.json").read_text())["status"] == "FAILED"


def test_a_mongo_database_gets_figures_apart_from_the_document_of_the_run(
    sacred: Path, trained, monkeypatch, capfd
):
    mongomock = pytest.importorskip("mongomock", reason="a MongoDB without a server")
    pymongo = pytest.importorskip("pymongo", reason="needs delineate[sacred]")
    from mongomock.gridfs import enable_gridfs_integration

    enable_gridfs_integration()
    client = mongomock.MongoClient()
    monkeypatch.setattr(pymongo, "MongoClient", lambda *args, **kwargs: client)
    main(["-m", "somewhere:27017:sadaan"])
    (run,) = client["sadaan"]["runs"].find()
    (metric,) = client["sadaan"]["metrics"].find()
    assert run["status"] == "COMPLETED"
    assert len(metric["values"]) == 1000
    assert [m["name"] for m in run["info"]["metrics"]] == ["train.batch.total"]
    assert len(str(run["info"])) < 1000
    assert (sacred / "sacred_runs" / str(run["_id"]) / "metrics.json").is_file()


def test_a_very_long_output_is_cut_in_its_middle():
    text = experiment._shorten("a" * 3_000_000)
    assert len(text) < experiment.MOST_TEXT + 100
    assert "1000000 characters are left out" in text
    assert experiment._shorten("short") == "short"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_documented_command_line_trains(here: Path, capfd):
    write_set(here / "synthetic_medical_dataset_hdf5")
    write_set(here / "my_medical_dataset_hdf5")
    write_set(here / "three", channels=3)
    for line in commands():
        words = [*line, *([] if line else ["with"]), *SHORT]
        if "model.in_channels=3" in words:
            words.append("dataset_path=three")
        main(words)
    assert len(list((here / "checkpoints").glob("run*"))) > 20
    assert (here / "experiments" / "run_001" / "best_model.pth").is_file()
