"""What a stage says is put over what is said for all, and judged there."""

from pathlib import Path

import pytest

from delineate.config import Budget, Config, Data, Stage, dump_config, load_config, stage_configs
from delineate.errors import ConfigError

TEXT = """\
data: {root: scans}
plan: {spacing: [1, 1, 1], width: 8}
model: {name: LightUNet, deep_supervision: true}
augment: [{name: Flip}]
optimizer: {name: SGD, lr: 0.1, momentum: 0.9}
train: {budget: 10 steps, seed: 3}
stages:
  - name: first
    plan:
    model: {deep_supervision: false}
    train: {budget: 5 steps}
  - name: second
    plan: {patch: [8, 8, 8]}
    model: {name: UNet}
    loss: [{name: Dice, weight: {start: 0, end: 1}}]
    augment: []
    optimizer: {name: Adam, betas: [0.8, 0.9]}
    start: {freeze: {encoder: 0.5}}
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(TEXT)
    return Path("a.yaml")


def refusal(text: str, *overrides: str) -> list[str]:
    Path("a.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config("a.yaml", overrides)
    return str(caught.value).splitlines()


def test_a_stage_changes_what_it_says_and_nothing_else(source: Path):
    first, _ = stage_configs(load_config(source))
    around = load_config(source, ["stages=[]"])
    assert first.model.arguments == {"deep_supervision": False}
    assert first.train.budget == Budget(5, "steps")
    changed = {
        "model": around.model.model_copy(update={"deep_supervision": False}),
        "train": around.train.model_copy(update={"budget": Budget(5, "steps")}),
    }
    assert first == around.model_copy(update=changed)


def test_lists_are_replaced_and_a_part_of_another_name_loses_the_old_arguments(source: Path):
    _, second = stage_configs(load_config(source))
    assert (second.plan.patch, second.plan.spacing, second.plan.width) == ((8,) * 3, (1.0,) * 3, 8)
    assert (second.model.name, second.model.arguments) == ("UNet", {})
    assert [term.name for term in second.loss] == ["Dice"]
    assert second.augment == ()
    # The rate and the decay are said of an optimiser whichever it is.
    given = {"lr": 0.1, "weight_decay": 0.01, "betas": (0.8, 0.9)}
    assert second.optimizer.arguments == given
    assert second.start.freeze == {"encoder": 0.5}
    assert (second.train.seed, second.train.budget) == (3, Budget(10, "steps"))
    assert second.stages == ()


def test_stages_are_saved_and_read_back(source: Path):
    config = load_config(source)
    Path("b.yaml").write_text(dump_config(config))
    assert load_config("b.yaml") == config
    assert stage_configs(load_config("b.yaml")) == stage_configs(config)


def test_a_key_of_one_stage_is_changed_on_the_command_line(source: Path):
    asked = ["stages.1.train.budget=7 steps", "train.budget=2 steps", "train.seed=4"]
    first, second = stage_configs(load_config(source, asked))
    assert [c.train.budget.steps for c in (first, second)] == [5, 7]
    assert [c.train.seed for c in (first, second)] == [4, 4]


def test_a_mistake_of_a_stage_is_named_with_the_stage_and_its_line(source: Path):
    text = TEXT.replace("patch: [8, 8, 8]", "patch: [8, 8]").replace("budget: 5", "bugdet: 5")
    text = text.replace("weight: {", "weight: x, other: {")
    assert refusal(text) == [
        "a.yaml:11: stage 'first': unknown key 'train.bugdet'. Did you mean 'budget'?",
        "a.yaml:13: stage 'second': plan.patch has 2 numbers but plan.spacing has 3.",
        "a.yaml:15: stage 'second': loss.0.weight wants a number of at least 0, or a ramp such as "
        "{start: 0.1, end: 1}, begin before finish, got 'x'.",
    ]


def test_what_a_stage_cannot_change_is_an_unknown_key(source: Path):
    first = "data: {root: scans}\nstages:\n"
    assert refusal(f"{first}  - {{name: a, data: {{fold: 1}}}}\n") == [
        "a.yaml:3: unknown key 'stages.0.data'. There are: name, plan, model, loss, augment, "
        "optimizer, schedule, start, train and predict."
    ]
    assert refusal(f"{first}  - {{name: a, mode: {{depth: 1}}}}\n") == [
        "a.yaml:3: unknown key 'stages.0.mode'. Did you mean 'model'?"
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a b", "stages.0.name wants letters, digits, _ and -, got 'a b'."),
        ("../up", "stages.0.name wants letters, digits, _ and -, got '../up'."),
        ("panels", "stages.0.name is 'panels', which means something else in a run folder."),
        ("fold_1", "stages.0.name is 'fold_1', which means something else in a run folder."),
    ],
)
def test_a_name_is_that_of_a_folder(source: Path, name: str, message: str):
    assert refusal(TEXT, f"stages.0.name={name}") == [f"command line: {message}"]


def test_two_stages_have_two_names(source: Path):
    assert refusal(TEXT, "stages.0.name=SECOND") == [
        "a.yaml:7: stages has two stages called 'second', but each has a folder."
    ]


def test_a_stage_made_in_python_is_judged_when_it_is_asked_for():
    stage = Stage(name="a", train={"budget": "soon"})
    config = Config(data=Data(root=Path("scans")), stages=(stage,))
    with pytest.raises(ConfigError, match=r"^stage 'a': train\.budget wants a budget such as 90s"):
        stage_configs(config)
