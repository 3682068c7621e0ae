import json
import subprocess
import sys
from pathlib import Path

import pytest

from delineate.config import (
    Budget,
    Config,
    Data,
    LossTerm,
    Part,
    dump_config,
    json_schema,
    load_config,
)
from delineate.errors import ConfigError

MINIMAL = "data: {root: scans}\n"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> str:
        Path("spine.yaml").write_text(text)
        return "spine.yaml"

    return write


def refusal(source, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(source, overrides)
    return str(caught.value).splitlines()


def test_a_file_with_only_the_data_gets_every_default(write):
    config = load_config(write(MINIMAL))
    assert config == Config(data=Data(root=Path("scans")))
    assert config.train.budget == Budget(1, "h")
    assert [term.name for term in config.loss] == ["Dice", "CrossEntropy"]


def test_a_section_whose_keys_are_all_commented_out_is_its_defaults(write):
    assert load_config(write(MINIMAL + "plan:\n  # patch: [1, 2, 3]\n")).plan.patch is None


def test_every_mistake_is_reported_at_once_with_its_line(write):
    text = """\
data: {root: scans, fold: 7}
train:
  epochs: 3
  sead: 1
  seed: abc
  budget: 10 m
  clip: 1
  clip: 2
  workers: -1
loss:
  - name: Dice
    weight: heavy
augment:
predict: {flips: no, overlap: 1}
batch_size: 3
model: {depth: 3}
plan: {patch: [16, 1.5, 4], dims: 4}
zzz: 1
"""
    assert refusal(write(text)) == [
        "spine.yaml:1: data.fold wants one of the 5 folds, 0 to 4, got 7.",
        "spine.yaml:3: unknown key 'train.epochs'. Did you mean 'train.budget: 100 epochs'?",
        "spine.yaml:4: unknown key 'train.sead'. Did you mean 'seed'?",
        "spine.yaml:5: train.seed wants a whole number of at least 0, got 'abc'.",
        "spine.yaml:6: train.budget wants a budget such as 90s, 10min, 2h, 500 steps or "
        "100 epochs, got '10 m'.",
        "spine.yaml:8: 'train.clip' stands twice, first in line 7.",
        "spine.yaml:9: train.workers wants a whole number of at least 0 or auto, got -1.",
        "spine.yaml:12: loss.0.weight wants a number of at least 0, "
        "or a ramp such as {start: 0.1, end: 1}, begin before finish, got 'heavy'.",
        "spine.yaml:13: augment wants a list of transforms, [] for none, got null.",
        "spine.yaml:14: predict.flips is a bare no, which some read as false and some as text. "
        "Fix: write false, or 'no' in quotes.",
        "spine.yaml:14: predict.overlap wants a number of at least 0 and below 1, got 1.",
        "spine.yaml:15: unknown key 'batch_size'. Did you mean 'plan.batch_size'?",
        "spine.yaml:16: missing key 'model.name', a bare name of the part's own package, or an "
        "import path such as `my_lab.nets.TinyUNet`. Fix: add it, or give model.name=VALUE.",
        "spine.yaml:17: plan.dims wants 2, 3 or null, got 4.",
        "spine.yaml:17: plan.patch wants a list of 2 or 3 whole numbers of at least 1 or null, "
        "got [16, 1.5, 4].",
        "spine.yaml:18: unknown key 'zzz'. There are: data, plan, model, loss, augment, optimizer, "
        "schedule, start, train, stages, track, predict and run_dir.",
    ]


def test_a_missing_data_folder_says_how_to_give_it(write):
    assert refusal(write("")) == [
        "spine.yaml: missing key 'data.root', the folder or file of the data set, relative to the "
        "working directory. Fix: add it, or give data.root=VALUE."
    ]


def test_a_dotted_key_in_a_file_is_to_be_nested(write):
    assert refusal(write(MINIMAL + "train.budget: 1h\n")) == [
        "spine.yaml:2: unknown key 'train.budget'. Fix: nest it, train: {budget: ...}."
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "plan: {file: p.json, patch: [8, 8], dims: 2}",
            "plan.file fixes the whole plan, so plan.dims, plan.patch cannot stand with it.",
        ),
        (
            "plan: {spacing: [1, 1], patch: [8, 8, 8]}",
            "plan.patch has 3 numbers but plan.spacing has 2.",
        ),
        (
            "plan: {dims: 3, patch: [8, 8]}",
            "plan.patch wants 3 numbers because plan.dims is 3, got [8, 8].",
        ),
        (
            "plan: {dims: 2, patch: [8, 8, 8]}",
            "plan.patch wants a 1 on the slice axis as plan.dims is 2, got [8, 8, 8].",
        ),
        (
            "train: {device: cpu, precision: fp16}",
            "train.precision is fp16, which a CPU cannot train in. Fix: take auto, bf16 or fp32.",
        ),
        (
            "loss: [{name: Dice, weight: {start: 0, end: 1, begin: 0.5, finish: 0.2}}]",
            "loss.0.weight wants a number of at least 0, or a ramp such as {start: 0.1, end: 1}, "
            "begin before finish, got {start: 0, end: 1, begin: 0.5, finish: 0.2}.",
        ),
        (
            "loss: [{name: Dice, weight: {a: 1}}]",
            "loss.0.weight wants a number of at least 0, or a ramp such as {start: 0.1, end: 1}, "
            "begin before finish, got {a: 1}.",
        ),
        (
            "train: {device: cud}",
            "train.device wants auto, cpu or cuda, got 'cud'. Did you mean 'cuda'?",
        ),
        ("loss: []", "loss wants a list of one or more loss terms, got []."),
        ("loss: {name: Dice}", "loss wants a list of one or more loss terms, got {name: 'Dice'}."),
        ("loss: [Dice]", "loss.0 wants name: and its arguments, got 'Dice'."),
        ("train: 3", "train wants a section of keys, got 3."),
        ("run_dir: 2024", "run_dir wants a path, got 2024."),
        ("optimizer: {lr: true}", "optimizer.lr wants a number above 0, got true."),
    ],
)
def test_a_rule_between_keys_names_both_of_them(write, text, message):
    assert refusal(write(MINIMAL + text)) == [f"spine.yaml:2: {message}"]


@pytest.mark.parametrize("fold", [4, 0])
def test_folds_of_nnunet_are_five(write, fold):
    path = write(f"data: {{root: scans, folds: nnunet, fold: {fold}}}")
    assert load_config(path).data.fold == fold
    assert "0 to 4, got 5." in refusal(path, "data.fold=5")[0]


def test_labels_are_a_file_or_names_with_ids(write):
    assert load_config(write(MINIMAL), ["data.labels=l.json"]).data.labels == Path("l.json")
    assert load_config(write(MINIMAL), ["data.labels.liver=1"]).data.labels == {"liver": 1}
    assert refusal(write("data: {root: a, labels: {1: liver}}")) == [
        "spine.yaml:1: data.labels wants a path, a mapping of names to whole numbers or null, "
        "got {1: 'liver'}."
    ]


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refusal("none.yaml") == ["none.yaml: no such file."]
    Path("latin.yaml").write_bytes("a: \u00e9".encode("latin-1"))
    assert refusal("latin.yaml") == ["latin.yaml: not text in UTF-8."]
    Path("list.yaml").write_text("- 1\n")
    assert refusal(Path("list.yaml")) == ["list.yaml:1: wants sections of keys, got [1]."]
    Path("run").mkdir()
    Path("run/config.yaml").write_text(MINIMAL)
    assert refusal("run") == ["run is a folder. Fix: give run/config.yaml."]


def test_an_unknown_recipe_lists_those_there_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (message,) = refusal("startr")
    assert message.startswith(
        "no recipe and no file is called 'startr'. Did you mean 'starter'? Recipes: "
    )


def test_a_tilde_is_the_home_folder(write):
    config = load_config(write(MINIMAL), ["data.root=~/scans", "data.cache=~no_such_person/c"])
    assert config.data.root == Path.home() / "scans"
    assert config.data.cache == Path("~no_such_person/c")


def test_a_dumped_configuration_loads_equal(write, tmp_path):
    overrides = [
        "model.kernels=[[3, 3], [1, 3]]",
        "model.norm='no'",
        "model.text='1e-3'",
        "model.low=-.inf",
        "loss.2={name: my.Focal, gamma: 1e-5}",
        "augment=[{name: Flip, axes: [0]}, {name: Gamma, range: {a: 1, b: ~}}]",
        "schedule={name: Poly, power: 0.9}",
        "train.budget=90s",
        "data.labels={a: 1}",
        "plan.patch=[1, 8, 8]",
    ]
    config = load_config(write(MINIMAL), overrides)
    dumped = tmp_path / "dumped.yaml"
    dumped.write_text(dump_config(config))
    assert load_config(dumped) == config
    assert dump_config(load_config(dumped)) == dump_config(config)


def test_a_configuration_cannot_change_after_reading(write):
    config = load_config(write(MINIMAL), ["model.kernels=[3, 3]"])
    assert config.model.arguments == {"kernels": (3, 3)}
    with pytest.raises(ValueError, match="frozen"):
        config.train.seed = 1  # type: ignore[misc] # the point of the test


def test_an_argument_that_no_file_can_hold_is_refused():
    with pytest.raises(ValueError, match=r"is a function; a configuration holds only plain values"):
        Part(name="UNet", **{"norm": test_a_configuration_cannot_change_after_reading})


def test_the_arguments_of_a_loss_do_not_hold_its_weight():
    assert LossTerm(name="Dice", weight=2, **{"smooth": 1.0}).arguments == {"smooth": 1.0}


def test_the_schema_describes_every_key_and_refuses_others():
    schema = json_schema()
    json.dumps(schema)
    assert schema["additionalProperties"] is False
    for section in (schema, *schema["$defs"].values()):
        assert all(p["description"].endswith(".") for p in section["properties"].values())
    budget = schema["$defs"]["Train"]["properties"]["budget"]
    assert budget["default"] == "1h"
    assert budget["description"].startswith("When training ends")


def test_reading_a_configuration_does_not_import_torch(write):
    code = (
        f"import sys; from delineate.config import load_config; load_config('{write(MINIMAL)}');"
        "assert not {'torch', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
