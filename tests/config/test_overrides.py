from pathlib import Path

import pytest

from delineate.config import Budget, load_config
from delineate.errors import ConfigError

TEXT = """\
data: {root: scans}
loss:
  - {name: Dice, smooth: 1}
augment:
  - {name: Flip}
train:
  seed: wrong
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "a.yaml"
    path.write_text(TEXT.replace("seed: wrong", "seed: 1"))
    return path


def refusal(source: Path, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(source, overrides)
    return str(caught.value).splitlines()


def test_a_value_is_read_as_yaml(source):
    config = load_config(
        source,
        ["train.budget=500 steps", "plan.patch=[8, 8, 8]", "optimizer.lr=1e-4", "data.folds=null",
         "predict.flips=true", "loss.0.weight=2", "data.group="],
    )  # fmt: skip
    assert config.train.budget == Budget(500, "steps")
    assert config.plan.patch == (8, 8, 8)
    assert config.optimizer.lr == 1e-4
    assert config.data.folds is None
    assert config.data.group is None
    assert config.predict.flips is True
    assert config.loss[0].weight == 2
    assert config.loss[0].arguments == {"smooth": 1}


def test_the_last_of_two_overrides_counts(source):
    assert load_config(source, ["train.seed=2", "train.seed=3"]).train.seed == 3


def test_text_is_taken_as_it_stands_where_only_text_fits(source):
    overrides = ["data.group=[a-z]+_(\\d+)", "run_dir=2024", "data.root=/d: e", "data.layout=no"]
    config = load_config(source, overrides)
    assert config.data.group == "[a-z]+_(\\d+)"
    assert config.run_dir == Path("2024")
    assert config.data.root == Path("/d: e")
    assert config.data.layout == "no"


def test_quotes_around_text_are_not_part_of_it(source):
    assert load_config(source, ["data.group='sub-1'"]).data.group == "sub-1"


def test_an_entry_of_a_list_is_changed_or_added_by_its_index(source):
    config = load_config(source, ["augment.0.axes=[0]", "augment.1.name=Gamma"])
    assert [p.name for p in config.augment] == ["Flip", "Gamma"]
    assert config.augment[0].arguments == {"axes": (0,)}


def test_an_argument_of_a_part_that_the_file_leaves_out_joins_the_default(source):
    config = load_config(source, ["model.norm.name=group", "optimizer.betas=[0.9, 0.99]"])
    assert config.model.name == "UNet"
    assert config.model.arguments == {"norm": {"name": "group"}}
    assert config.optimizer.arguments["betas"] == (0.9, 0.99)


def test_an_override_of_a_default_list_keeps_the_rest_of_it(tmp_path):
    path = tmp_path / "b.yaml"
    path.write_text("data: {root: scans}")
    loss = load_config(path, ["loss.1.weight=3"]).loss
    assert [(term.name, term.weight) for term in loss] == [("Dice", 1), ("CrossEntropy", 3)]


def test_every_mistake_of_the_command_line_is_reported_at_once(source):
    assert refusal(
        source, "train.budgt=1h", "foo", "=3", "loss.4.x=1", "loss.a=1", "run_dir.x=1",
        "train.seed=[", "train.workers=on", "loss.0.weight=-1", "dta.root=x",
    ) == [
        "command line: 'foo' is not of the form section.key=value.",
        "command line: '=3' is not of the form section.key=value.",
        "command line: loss.4.x: the entries of loss are counted from 0, and the next free one is "
        "1, got '4'.",
        "command line: loss.a: the entries of loss are counted from 0, and the next free one is 1, "
        "got 'a'.",
        "command line: train.seed: '[' is not YAML: while parsing a flow node, expected the node "
        "content, but found '<stream end>'.",
        "command line: train.workers is a bare on, which some read as true and some as text. "
        "Fix: write true, or 'on' in quotes.",
        "command line: loss.0.weight wants a number of at least 0, "
        "or a ramp such as {start: 0.1, end: 1}, begin before finish, got -1.",
        "command line: unknown key 'train.budgt'. Did you mean 'budget'?",
        "command line: run_dir wants a path, got {x: 1}.",
        "command line: unknown key 'dta'. Did you mean 'data'?",
    ]  # fmt: skip


def test_another_part_does_not_inherit_the_arguments_of_the_one_in_the_file(tmp_path):
    path = tmp_path / "b.yaml"
    path.write_text("{data: {root: s}, model: {name: UNet, deep_supervision: true}}")
    assert load_config(path, ["model.name=mine.Net"]).model.arguments == {}
    assert load_config(path, ["model.name=UNet"]).model.arguments == {"deep_supervision": True}
    both = load_config(path, ["model.depth=3", "model.name=mine.Net", "model.width=8"])
    assert both.model.arguments == {"depth": 3, "width": 8}


def test_another_loss_keeps_the_weight_and_another_optimizer_the_rate(source):
    config = load_config(source, ["optimizer.lr=0.1", "optimizer.name=SGD"])
    assert config.optimizer.lr == 0.1


def test_a_value_is_not_a_section(source):
    assert refusal(source, "train.seed.x=1") == [
        "command line: train.seed.x: train.seed is a value, not a section."
    ]


def test_an_override_mends_what_the_file_has_wrong(source):
    source.write_text(TEXT + "  flag: no\n")
    assert len(refusal(source)) == 2
    source.write_text(TEXT)
    assert load_config(source, ["train.seed=3"]).train.seed == 3


def test_a_mistake_in_a_replaced_value_is_not_reported(source):
    source.write_text(TEXT.replace("seed: wrong", "validations: no"))
    assert load_config(source, ["train.validations=3"]).train.validations == 3
