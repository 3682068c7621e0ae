"""The documented configuration, translated: what each key becomes."""

import math
from pathlib import Path
from typing import Any

import pytest
from stroke_cases import MASK, names

from delineate.config import Config, build, check_parts, load_config, stage_configs
from delineate.config.schema import Ramp
from delineate.errors import ConfigError
from delineate.models.hybrid import STAGES
from delineate.systems.stroke.scoring import TALLY
from delineate.systems.stroke.settings import STAGE_NAMES, parse_settings
from delineate.systems.stroke.translate import make_config, make_direct_config

EMPTY = {"data": {"data_dir": "Atlas_2"}}


@pytest.fixture
def atlas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The names of a data set of six sites; no file has anything in it."""
    monkeypatch.chdir(tmp_path)
    touch(Path("Atlas_2"), sites=6)
    return tmp_path


def touch(root: Path, *, sites: int, cases: int = 12) -> None:
    for name in names(cases, sites=sites):
        for kind, end in (("Images", "_T1w.nii.gz"), ("Masks", MASK)):
            path = root / "Training" / kind / f"{name}{end}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def translate(**sections: dict[str, Any]) -> Config:
    return make_config(parse_settings({**EMPTY, **sections}, "a.yaml"), Path("callbacks"))


def test_the_recipe_declares_the_documented_stages():
    config = load_config("stroke", ["data.root=DATA"])
    assert tuple(stage.name for stage in config.stages) == STAGE_NAMES
    for stage in config.stages:
        assert stage.model == STAGES[stage.name]
    edges = [stage.plan["patch"] for stage in config.stages]
    assert edges == [(96,) * 3, (112,) * 3, (128,) * 3, (144,) * 3]
    assert [s.train["budget"] for s in config.stages] == [f"{n} epochs" for n in (30, 40, 50, 100)]
    for own in stage_configs(config):
        check_parts(own)


def test_without_a_wish_the_stages_are_those_of_the_recipe(atlas: Path):
    config = translate()
    recipe = load_config("stroke", ["data.root=DATA"])
    for made, said in zip(config.stages, recipe.stages, strict=True):
        assert made.plan == said.plan
        assert dict(made.model) == dict(said.model)
        assert made.train["budget"] == said.train["budget"]
        epochs = int(str(said.train["budget"]).split()[0])
        assert made.train["validations"] == epochs
    *terms, tally = config.loss
    assert tuple(terms) == recipe.loss
    assert (tally.name, tally.weight) == (TALLY, 0.0)
    assert config.optimizer.lr == 1e-4
    assert config.plan.nonzero
    assert config.data.root == atlas / "Atlas_2" / "Training"
    assert config.data.folds == 5


def test_no_stage_is_larger_than_the_last(atlas: Path):
    wish = {"input_shape": [112, 128, 112, 1], "base_filters": 24, "use_transformer": False}
    config = translate(model=wish, training={"epochs": 7, "batch_size_per_gpu": 2})
    patches = [stage.plan["patch"] for stage in config.stages]
    assert patches == [(96, 96, 96), (112, 112, 112), (112, 128, 112), (112, 128, 112)]
    assert [stage.model["base_filters"] for stage in config.stages] == [16, 24, 24, 24]
    assert not any(stage.model["transformer"] for stage in config.stages)
    assert [stage.plan["batch_size"] for stage in config.stages] == [2] * 4
    assert [s.train["budget"] for s in config.stages][2:] == ["50 epochs", "7 epochs"]


def test_a_stage_can_be_changed_alone(atlas: Path):
    wish = {"stage2_attention": {"input_shape": [80, 80, 80], "epochs": 3, "batch_size": 4}}
    stage = translate(stages=wish).stages[1]
    assert stage.plan == {"patch": (80, 80, 80), "batch_size": 4}
    assert stage.train == {"budget": "3 epochs", "validations": 3}


def test_loss_weights_are_of_comparable_terms(atlas: Path):
    wish = {"dice_weight": 0.4, "focal_weight": 0.4, "boundary_weight": 0.2, "focal_gamma": 3.0}
    dice, focal, boundary, _ = translate(loss=wish).loss
    assert (dice.name, dice.weight) == ("GeneralisedDice", 0.4)
    assert (focal.name, focal.weight) == ("Focal", 0.4)
    assert focal.arguments == {"gamma": 3.0, "alpha": 0.25}
    assert boundary.name == "Boundary"
    assert isinstance(boundary.weight, Ramp)
    assert boundary.weight.end == pytest.approx(0.02)  # 0.2 of a distance in cm
    assert boundary.weight.start == pytest.approx(0.0002)
    assert [term.name for term in translate(loss={"boundary_weight": 0}).loss] == [
        "GeneralisedDice",
        "Focal",
        TALLY,
    ]


@pytest.mark.parametrize(
    ("wish", "middle", "end"),
    [
        (
            {"type": "cosine_decay", "warmup_epochs": 10, "decay_steps": 100, "alpha": 0.1},
            0.1 + 0.9 * (1 + math.cos(math.pi * 0.4 / 0.9)) / 2,
            0.1,
        ),
        (
            {"type": "polynomial_decay", "power": 0.9, "end_learning_rate": 2e-5},
            0.2 + 0.8 * 0.5**0.9,
            0.2,
        ),
        ({"type": "constant"}, 1.0, 1.0),
        ({"type": "reduce_on_plateau", "factor": 0.5, "patience": 8}, 1.0, 1.0),
    ],
)
def test_schedules(atlas: Path, wish: dict[str, Any], middle: float, end: float):
    part = translate(training={"lr_schedule": wish}).schedule
    made = build(part, "delineate.engine.schedules")
    assert made(0.5) == pytest.approx(middle, abs=0.01)
    assert made(1.0) == pytest.approx(end)


def test_samples_are_changed_as_often_and_as_far_as_is_said(atlas: Path):
    wish = {"rotation_range": [-10, 10], "elastic_prob": 0.0, "spatial_prob": 0.5}
    config = translate(augmentation=wish, training={"augmentation_prob": 0.4})
    parts = {part.name: part.arguments for part in config.augment}
    assert parts["Affine"]["rotation_degrees"] == 10
    assert parts["Affine"]["probability"] == pytest.approx(0.2)
    assert "Elastic" not in parts
    assert parts["Flip"] == {"axes": "left_right"}


def test_whole_sites_are_held_out_where_there_are_enough(atlas: Path, caplog):
    assert translate().data.group == r"sub-(r\d+)s\d+"
    assert translate(data={"data_dir": "Atlas_2", "group": "subject"}).data.group is None
    touch(Path("few"), sites=3)
    caplog.set_level("INFO", logger="delineate")
    assert translate(data={"data_dir": "few"}).data.group is None
    assert "3 sites are too few for 5 folds: subjects are kept together" in caplog.text
    (Path("few") / "Training" / "Images" / "other_T1w.nii.gz").touch()
    assert translate(data={"data_dir": "few"}).data.group is None
    assert "the names of the scans tell no sites" in caplog.text


def test_the_network_without_stages_has_forty_filters_at_most(atlas: Path):
    made = make_direct_config(parse_settings(EMPTY, "a.yaml"), Path("run"))
    assert made.stages == ()
    assert made.model.arguments["base_filters"] == 40
    assert made.plan.patch == (144, 144, 144)
    assert str(made.train.budget) == "100 epochs"
    tiny = parse_settings({**EMPTY, "model": {"base_filters": 8, "depth": 2}}, "a.yaml")
    assert make_direct_config(tiny, Path("run")).model.arguments["base_filters"] == 8


def test_hardware_and_data_keys(atlas: Path):
    config = translate(
        hardware={"gpu_memory_limit": 20, "use_mixed_precision": False, "device": "cpu"},
        data={"data_dir": "Atlas_2", "num_workers": 3, "cache_dir": "kept", "prefetch": 2},
        training={"use_tensorboard": False, "patience": 15, "gradient_checkpointing": False},
    )
    assert config.plan.memory_gb == 20
    assert (config.train.precision, config.train.workers, config.train.patience) == ("fp32", 3, 15)
    assert config.train.on_plateau == "stop"
    assert config.track == ()
    assert config.data.cache == Path("kept")
    assert {stage.model["checkpointing"] for stage in config.stages} == {False}


def test_all_mistakes_are_told_at_once():
    wrong = {
        "model": {"base_filters": 20, "num_classes": 4},
        "training": {"epoch": 3},
        "stages": {"zebra": {}},
        "optimiser": {},
    }
    with pytest.raises(ConfigError) as caught:
        parse_settings(wrong, "mine.yaml")
    assert str(caught.value).splitlines() == [
        "mine.yaml: model.base_filters wants a multiple of 8, the width of a group, got 20.",
        "mine.yaml: model.num_classes wants 1, got 4.",
        "mine.yaml: unknown key 'training.epoch'. Did you mean 'epochs'?",
        "mine.yaml: stages has no stage 'zebra'. There are: stage1_basic, stage2_attention, "
        "stage3_hybrid_small and stage4_hybrid_full.",
        "mine.yaml: unknown key 'optimiser'. There are: model, training, loss, data, augmentation, "
        "hardware, stages and meta.",
    ]


def test_a_generated_configuration_is_understood(atlas: Path, tmp_path: Path):
    from delineate.systems.stroke.rules import augmentation_rules, loss_rules, training_rules

    for cases in (100, 300, 655):
        for percent in (0.05, 0.5, 2.0):
            config = translate(
                training=training_rules(cases),
                loss=loss_rules(percent),
                augmentation=augmentation_rules(percent),
            )
            for stage in stage_configs(config):
                check_parts(stage)
