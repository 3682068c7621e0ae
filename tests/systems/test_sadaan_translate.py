from pathlib import Path

import pytest
from sadaan_commands import NAMES, commands, write_set

from delineate.assemble import assemble_schedule
from delineate.config import Config, check_parts, load_config
from delineate.errors import ConfigError, DataError
from delineate.plan import read_plan, write_plan
from delineate.systems.sadaan.command_line import CommandLine
from delineate.systems.sadaan.plateau import LossPlateau
from delineate.systems.sadaan.settings import Settings, read_settings
from delineate.systems.sadaan.translate import (
    TERMS,
    find_mirrored_axes,
    make_config,
    make_plan,
    read_data,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("sadaan") / "set", shape=(20, 16, 12))


def read(root: Path, *words: str) -> Settings:
    return read_settings(CommandLine.read(["with", *words, f"dataset_path={root}"]).values)


def config(root: Path, *words: str) -> Config:
    return make_config(read(root, *words), root / "run", mirrored=(2,))


def test_the_recipe_has_the_documented_defaults(root: Path):
    ours, recipe = config(root), load_config("sadaan", ["data.root=set"])
    assert [(t.name, t.weight) for t in ours.loss[:-1]] == [(t.name, t.weight) for t in recipe.loss]
    assert ours.optimizer == recipe.optimizer
    assert ours.train.model_copy(update={"workers": "auto"}) == recipe.train
    assert ours.model == recipe.model
    assert [p.name for p in ours.augment] == [p.name for p in recipe.augment]
    one, other = (assemble_schedule(c, steps=1000) for c in (ours, recipe))
    assert [one(i / 100) for i in range(101)] == pytest.approx(
        [other(i / 100) for i in range(101)], abs=1e-12
    )


def test_every_documented_command_line_is_a_configuration_whose_parts_build(root: Path):
    for line in commands():
        words = [word for word in line[1:] if not word.startswith("dataset_path")]
        check_parts(config(root, *words))


def test_keys_reach_the_engine_in_its_units(root: Path):
    found = config(
        root, "training.num_epochs=40", "training.validate_every_n_epochs=4", "seed=3",
        "training.gradient_clip_norm=1.0", "training.gradient_accumulation_steps=8",
        "optimizer.type=adam", "augmentation.noise_std=3.0", "loss_weights.confidence=0",
    )  # fmt: skip
    assert (found.train.budget.epochs, found.train.validations) == (40, 10)
    assert (found.train.clip, found.train.accumulate, found.train.seed) == (1.0, 8, 3)
    assert (found.optimizer.name, found.optimizer.weight_decay) == ("Adam", 1e-4)
    assert TERMS["confidence"] not in [term.name for term in found.loss]
    parts = {part.name: part.arguments for part in found.augment}
    assert parts["GaussianNoise"] == {"deviation": (3.0, 3.0), "probability": 1.0}
    assert parts["Flip"] == {"axes": (2,), "probability": 0.3, "mirror_axis": 2}
    assert config(root, "augmentation.enabled=False").augment == ()
    threshold = config(root, "model.presence_threshold=0.3").loss[-1]
    assert (threshold.weight, threshold.arguments) == (0, {"threshold": 0.3})


def test_cosine_annealing_rises_in_the_warm_up_and_ends_each_period_at_lr_min(root: Path):
    made = config(root, "training.num_epochs=45", "training.warmup_epochs=5")
    rate = assemble_schedule(made, steps=450)
    rates = [5e-4 * rate(epoch / 45) for epoch in range(46)]
    assert rates[0] == 0
    assert rates[5] == pytest.approx(5e-4)
    assert rates[5:25] == sorted(rates[5:25], reverse=True)
    assert 5e-4 * rate((25 - 1e-6) / 45) == pytest.approx(1e-6, abs=1e-9)
    assert 5e-4 * rate((25 + 1e-6) / 45) == pytest.approx(5e-4)
    assert rates[45] == pytest.approx(1e-6)


def test_reduce_on_plateau_halves_the_rate_after_the_patience_in_epochs(root: Path):
    made = config(root, "optimizer.lr_scheduler=reduce_on_plateau", "training.warmup_epochs=0")
    schedule = assemble_schedule(made, steps=100)
    assert isinstance(schedule, LossPlateau)
    for loss in (2.0, 1.0, *[1.5] * 4):
        schedule.observe({"val_loss": loss, "val_dice": 0.5})
    assert schedule(0.5) == 1
    schedule.observe({"val_loss": 1.5, "val_dice": 0.9})
    assert schedule(0.5) == 0.5
    for _ in range(200):
        schedule.observe({"val_loss": 1.5, "val_dice": 0.9})
    assert 5e-4 * schedule(0.5) == pytest.approx(1e-6)


def test_a_warm_up_as_long_as_the_training_only_rises(root: Path):
    rate = assemble_schedule(config(root, "training.num_epochs=5"), steps=10)
    assert [rate(i / 10) for i in range(10)] == pytest.approx([i / 10 for i in range(10)])


def test_volumes_are_seen_whole_and_as_they_are_stored(root: Path, tmp_path: Path):
    settings = read(root)
    plan = make_plan(settings, read_data(settings))
    assert (plan.shape, plan.spacing, plan.patch) == ((20, 16, 12), (1, 1, 1), (32, 16, 16))
    assert [rule.kind for rule in plan.normalisation] == ["none"]
    assert [leaf.name for leaf in plan.labels.leaves] == list(NAMES)
    write_plan(plan, tmp_path / "plan.json")
    assert read_plan(tmp_path / "plan.json") == plan


def test_another_image_size_is_a_resampling(root: Path):
    settings = read(root, "training.image_size=[40,16,24]", "training.batch_size=2")
    plan = make_plan(settings, read_data(settings))
    assert (plan.shape, plan.spacing, plan.patch) == ((40, 16, 24), (0.5, 1, 0.5), (48, 16, 32))
    assert plan.batch_size == 2


def test_the_left_right_axis_is_found_in_the_masks(tmp_path: Path):
    for sides in range(3):
        root = write_set(tmp_path / str(sides), sides=sides)
        assert find_mirrored_axes(read_data(read(root))) == (sides,)


def test_structures_without_a_side_may_be_mirrored_along_every_axis(tmp_path: Path):
    root = write_set(tmp_path / "set")
    facts = (root / "metadata.json").read_text().replace("left_", "one_").replace("right_", "two_")
    (root / "metadata.json").write_text(facts)
    assert find_mirrored_axes(read_data(read(root))) == (0, 1, 2)


def test_images_with_several_channels_are_asked_for_by_their_number(root: Path, tmp_path: Path):
    three = write_set(tmp_path / "three", channels=3)
    settings = read(three, "model.in_channels=3")
    assert len(make_plan(settings, read_data(settings)).channels) == 3
    settings = read(root, "model.in_channels=3")
    with pytest.raises(ConfigError, match=r"model.in_channels is 3, but the images of .* have 1\."):
        make_plan(settings, read_data(settings))


def test_what_is_missing_in_the_data_is_said(tmp_path: Path):
    with pytest.raises(DataError, match=r"no such folder. Fix: dataset_path=DIR"):
        read_data(read(tmp_path / "nowhere"))
    root = write_set(tmp_path / "set")
    (root / "val.h5").unlink()
    with pytest.raises(DataError, match=r"there is no val.h5, or nothing in it"):
        read_data(read(root))


def test_weights_that_are_all_zero_are_refused(root: Path):
    words = [f"loss_weights.{key}=0" for key in TERMS]
    with pytest.raises(ConfigError, match=r"loss_weights are all 0"):
        config(root, *words)
