"""What scripts rely on: commands, exit codes, files, and one plain message for a mistake."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from terminal import delineate

from delineate import __version__
from delineate.config import list_recipes, load_config, recipe_path
from delineate.datasets import read_dataset, synthesise
from delineate.metrics import read_table
from delineate.plan import read_plan

HEAVY = {"torch", "lightning", "numpy", "scipy", "nibabel", "SimpleITK", "h5py"}


@pytest.fixture(scope="session")
def organs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four scans of 16 voxels along each axis, nnU-Net's layout; tests only read them."""
    folder = tmp_path_factory.mktemp("cli") / "organs"
    return synthesise("organs", folder, cases=4, shape=(16, 16, 16))


@pytest.fixture
def faulty(organs: Path, tmp_path: Path) -> Path:
    """A copy of them in which one mask holds a value that nobody declared."""
    copy = tmp_path / "faulty"
    shutil.copytree(organs, copy)
    path = copy / "labelsTr" / "organs_001.nii.gz"
    mask = nibabel.load(path)
    values = np.asarray(mask.dataobj).copy()
    values[0, 0, 0] = 77
    nibabel.save(nibabel.Nifti1Image(values, mask.affine), path)
    return copy


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["train", "--help"]])
def test_help_and_version_import_nothing_heavy(words: list[str]):
    code = (
        f"import sys; sys.argv = ['delineate', *{words}]\n"
        "from delineate.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "print('loaded', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    shown, _, loaded = done.stdout.rpartition("loaded ")
    assert shown
    assert not HEAVY & set(loaded.split())


def test_version_names_the_package_and_its_version():
    assert delineate("--version").out == f"delineate {__version__}\n"


def test_recipes_list_has_one_line_a_recipe_that_begins_with_its_name():
    done = delineate("recipes", "list")
    assert done.code == 0
    assert [line.split()[0] for line in done.out.splitlines()] == list(list_recipes())


def test_recipes_show_prints_the_file_so_that_it_can_be_changed_and_trained(tmp_path: Path):
    done = delineate("recipes", "show", "starter")
    assert done.out == recipe_path("starter").read_text(encoding="utf-8")
    mine = tmp_path / "mine.yaml"
    mine.write_text(done.out)
    wishes = ["data.root=scans"]
    assert load_config(mine, wishes) == load_config("starter", wishes)


def test_schema_is_json_that_refuses_unknown_keys():
    schema = json.loads(delineate("schema").out)
    assert {"data", "plan", "model", "loss", "train", "run_dir"} <= schema["properties"].keys()
    assert schema["additionalProperties"] is False


def test_doctor_ends_with_0_where_nothing_is_wrong_and_writes_json(organs: Path, tmp_path: Path):
    file = tmp_path / "new" / "found.json"
    done = delineate("doctor", organs, "--json", file)
    assert done.code == 0
    assert done.out.endswith("4 cases, 0 errors, 0 warnings.\n")
    assert json.loads(file.read_text())["summary"]["errors"] == 0


def test_doctor_ends_with_1_at_an_error_and_fix_mends_a_copy_only(faulty: Path, tmp_path: Path):
    before = {path: path.read_bytes() for path in faulty.rglob("*.nii.gz")}
    done = delineate("doctor", faulty, "--json", tmp_path / "f.json", "--fix", tmp_path / "mended")
    assert done.code == 1
    assert "error: organs_001: " in done.out
    assert "organs_001: left out: " in done.out
    (found,) = json.loads((tmp_path / "f.json").read_text())["findings"]
    assert (found["severity"], found["kind"]) == ("error", "undeclared-value")
    assert delineate("doctor", tmp_path / "mended").code == 0
    assert {path: path.read_bytes() for path in faulty.rglob("*.nii.gz")} == before


def test_plan_writes_a_plan_that_can_be_read_and_prints_it_in_words(organs: Path, tmp_path: Path):
    file = tmp_path / "plan.json"
    done = delineate("plan", organs, "plan.width=4", "--memory-gb", "2", "-o", file)
    assert done.code == 0
    plan = read_plan(file)
    assert plan.network.features[0] == 4
    assert plan.memory_gb <= 2
    assert "network        4-8" in done.out
    assert "normalisation  CT: clip " in done.out
    assert done.out.endswith(f"Plan: {file}\n")


def test_prepare_keeps_what_is_there(organs: Path, tmp_path: Path):
    cache = tmp_path / "cache"
    first = delineate("prepare", organs, "--cache", cache)
    assert first.code == 0
    assert first.out.startswith(f"4 cases in {cache}")
    times = {path: path.stat().st_mtime_ns for path in cache.rglob("*.case")}
    assert len(times) == 4
    assert delineate("prepare", organs, "--cache", cache) == first
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.case")} == times


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("organs", "16,16,16"),
        ("lesions", "16x18x20"),
        ("nuclei", "16,16,16"),
        ("slices", "16,16"),
        ("structures", "16,16,16"),
    ],
)
def test_synth_makes_every_kind_and_it_is_read_back(kind: str, shape: str, tmp_path: Path):
    done = delineate("synth", kind, tmp_path / kind, "--cases", 3, "--shape", shape, "--seed", 5)
    assert done.code == 0
    assert done.out == f"3 cases in {tmp_path / kind}\n"
    dataset = read_dataset(tmp_path / kind)
    assert len(dataset.cases) == 3
    assert all(case.label for case in dataset.cases)


def test_evaluate_scores_masks_against_a_data_set_or_a_folder(organs: Path, tmp_path: Path):
    masks, table = organs / "labelsTr", tmp_path / "table.csv"
    done = delineate("evaluate", masks, organs, "-o", table)
    assert done.code == 0
    assert "Mean Dice 1.0000 over 4 cases" in done.out
    assert done.out.endswith(f"Table: {table}\n")
    assert read_table(table).labels == read_dataset(organs).labels.names
    assert delineate("evaluate", masks, masks, "-o", table).code == 0
    assert read_table(table).mean("dice") == 1


def test_one_case_has_no_interval(organs: Path, tmp_path: Path):
    (tmp_path / "one").mkdir()
    shutil.copy(organs / "labelsTr" / "organs_000.nii.gz", tmp_path / "one")
    done = delineate("evaluate", tmp_path / "one", tmp_path / "one", "-o", tmp_path / "t.csv")
    assert "Mean Dice 1.0000 over 1 case\n" in done.out


MISTAKES = {
    "unknown key": (
        ["train", "starter", "data.root=DATA", "train.budgt=5min"],
        "command line: unknown key 'train.budgt'. Did you mean 'budget'?",
    ),
    "two unknown keys": (
        ["train", "starter", "data.root=DATA", "train.budgt=5min", "trainn.seed=1"],
        "command line: unknown key 'train.budgt'. Did you mean 'budget'?\n"
        "command line: unknown key 'trainn'. Did you mean 'train'?",
    ),
    "no data": (["train", "starter"], "starter.yaml:8: missing key 'data.root'"),
    "unknown recipe": (
        ["train", "startr", "data.root=DATA"],
        "no recipe and no file is called 'startr'. Did you mean 'starter'? Recipes: ",
    ),
    "missing file": (["train", "no.yaml", "data.root=DATA"], "no.yaml: no such file."),
    "unknown part": (
        ["train", "starter", "data.root=DATA", "model.name=Unet"],
        "command line: model.name: delineate.models has no 'Unet'. Did you mean 'UNet'?",
    ),
    "missing folder": (["doctor", "HERE/nowhere"], "HERE/nowhere: no such folder. Fix: give "),
    "unknown layout": (
        ["doctor", "DATA", "--layout", "nnunt"],
        "layout: 'nnunt' is unknown. Did you mean nnunet? Fix: use auto, nnunet, ",
    ),
    "broken regex": (["doctor", "DATA", "--group", "("], "group: '(' is no regex"),
    "copy into the source": (
        ["doctor", "DATA", "--fix", "DATA/mended"],
        "DATA/mended: lies inside the data set DATA, which is not to be touched.",
    ),
    "a file for a folder": (
        ["doctor", "DATA", "--json", "DATA/dataset.json/x.json"],
        "DATA/dataset.json: File exists.",
    ),
    "no numbers": (
        ["synth", "organs", "HERE/new", "--shape", "abc"],
        "--shape: 'abc' is no list of whole numbers. Fix: write 64,64,64.",
    ),
    "too few numbers": (
        ["synth", "organs", "HERE/new", "--shape", "32,32"],
        "synth: the shape 32x32 does not fit 'organs'. Fix: give 3 sizes of 16 or more",
    ),
    "unknown phantom": (["synth", "organ", "HERE/new"], "synth: 'organ' is unknown. Fix: use one"),
    "phantom in no such layout": (
        ["synth", "slices", "HERE/new", "--layout", "bids"],
        "synth: 'slices' cannot be written as 'bids'. Fix: use folders or nnunet.",
    ),
    "out is not empty": (["synth", "organs", "DATA"], "DATA: already holds something. Fix: "),
    "unfit patch": (
        ["plan", "DATA", "plan.patch=[5,5,5]", "-o", "HERE/plan.json"],
        "plan: plan.patch=[5, 5, 5] is too small to be halved.",
    ),
    "missing plan": (["prepare", "DATA", "--plan", "HERE/no.json"], "HERE/no.json: no such file."),
    "no run": (
        ["predict", "DATA", "DATA", "-o", "HERE/masks"],
        "DATA: not the folder of a training that came to an end (config.yaml is missing). Fix: ",
    ),
    "nothing to report": (["report", "DATA"], "DATA: nothing of a training here. Fix: "),
    "nothing to compare": (["evaluate", "HERE", "DATA"], "HERE: no predicted masks here."),
    "no recipe to show": (["recipes", "show", "no"], "no recipe and no file is called 'no'."),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_message_on_stderr_and_exit_code_2(
    name: str, organs: Path, tmp_path: Path
):
    words, message = MISTAKES[name]

    def fill(text: str) -> str:
        return text.replace("DATA", str(organs)).replace("HERE", str(tmp_path))

    done = delineate(*map(fill, words))
    assert done.code == 2
    assert done.err.startswith(fill(message))
    assert "Traceback" not in done.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [["bogus"], ["predict", "run", "scan.nii.gz"], ["doctor"]])
def test_a_wrong_command_line_ends_with_2(words: list[str]):
    assert delineate(*words).code == 2


def test_a_bug_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch):
    def break_down() -> dict[str, str]:
        raise RuntimeError("a bug")

    monkeypatch.setattr("delineate.config.list_recipes", break_down)
    with pytest.raises(RuntimeError, match="a bug"):
        delineate("recipes", "list")
