"""The documented settings, and what they become in the engine's words."""

from pathlib import Path
from typing import Any

import pytest
from brainstem_toys import settings, write_tree

from delineate.assemble import assemble_augmentation, assemble_loss, assemble_network
from delineate.config import Config, Data, Part, check_parts
from delineate.engine.schedules import WarmRestarts
from delineate.errors import ConfigError
from delineate.groundwork import NoBars
from delineate.plan import read_plan, write_plan
from delineate.plan.dry_run import build_dry
from delineate.systems.brainstem import InferenceConfig, TrainingConfig
from delineate.systems.brainstem.network import network_entry
from delineate.systems.brainstem.pace import choose_pace
from delineate.systems.brainstem.prepared import Prepared, prepare_tree
from delineate.systems.brainstem.settings import plain
from delineate.systems.brainstem.translate import make_config, make_plan
from delineate.systems.brainstem.tree import read_tree

DOCUMENTED = {
    "input_channels": 1,
    "num_classes": 6,
    "patch_size": (64, 64, 64),
    "embed_dim": 768,
    "vit_layers": 8,
    "gnn_layers": 3,
    "num_heads": 8,
    "batch_size": 4,
    "learning_rate": 1e-4,
    "num_epochs": 100,
    "weight_decay": 1e-5,
    "warmup_epochs": 10,
    "elastic_prob": 0.8,
    "noise_prob": 0.6,
    "cutmix_prob": 0.4,
    "focal_alpha": 0.25,
    "focal_gamma": 2.0,
    "hierarchy_weight": 0.3,
    "boundary_weight": 0.2,
    "val_interval": 5,
    "save_interval": 10,
    "early_stopping_patience": 20,
    "device": "auto",
    "num_workers": 4,
    "mixed_precision": True,
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("brainstem")
    tree = read_tree(write_tree(folder / "data"))
    return prepare_tree(tree, settings(), folder / "out", bars=NoBars())


def test_documented_keys_have_their_documented_defaults():
    config = TrainingConfig()
    assert {name: getattr(config, name) for name in DOCUMENTED} == DOCUMENTED
    assert TrainingConfig(**DOCUMENTED) == config
    assert TrainingConfig(**plain(config)) == config


def test_both_examples_of_the_document_are_taken():
    TrainingConfig(batch_size=4, learning_rate=1e-4, num_epochs=100)
    config = TrainingConfig(
        embed_dim=768,
        vit_layers=8,
        gnn_layers=3,
        batch_size=2,
        learning_rate=5e-5,
        num_epochs=150,
        elastic_prob=0.9,
        noise_prob=0.7,
        cutmix_prob=0.5,
    )
    config.batch_size = 1
    assert config.batch_size == 1


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"batchsize": 4}, "unknown key 'batchsize'. Did you mean 'batch_size'?"),
        ({"batch_size": 0}, "batch_size wants a whole number of at least 1, got 0"),
        ({"patch_size": (64, 64)}, "patch_size wants three whole numbers of at least 16"),
        ({"patch_size": (8, 64, 64)}, "patch_size wants three whole numbers of at least 16"),
        ({"elastic_prob": 1.5}, "elastic_prob wants"),
        ({"graph": "nucleus"}, "Did you mean 'nuclei'?"),
        ({"token_size": 5}, "token_size wants 2, 4, 8, 16 or 32, got 5"),
        ({"num_heads": 7}, "7 heads cannot share embed_dim 768"),
        ({"mixed_precision": "yes"}, "mixed_precision wants True or False"),
        ({"num_classes": 1}, "num_classes wants"),
    ],
)
def test_what_does_not_fit_is_said(given: dict[str, Any], says: str):
    with pytest.raises(ConfigError) as caught:
        TrainingConfig(**given)
    assert says in str(caught.value)
    assert str(caught.value).startswith("TrainingConfig: ")


def test_windows_of_a_prediction_must_meet():
    assert InferenceConfig(patch_size=64, stride=32).patch_size == (64, 64, 64)
    with pytest.raises(ConfigError, match="stride is 65 but a window has 64 voxels"):
        InferenceConfig(patch_size=64, stride=65)
    with pytest.raises(ConfigError, match="save_intermediates wants an output_dir"):
        InferenceConfig(save_intermediates=True)


def test_the_documented_network_has_the_documented_size(prepared: Prepared):
    config = TrainingConfig(graph="raster")
    part = Part.model_validate(network_entry(config, checkpointing=False))
    asked, plan = Config(data=Data(root=Path()), model=part), make_plan(config, prepared)
    network = build_dry(lambda: assemble_network(asked, plan))
    assert sum(weight.numel() for weight in network.parameters()) == 63_189_516


def test_settings_become_a_configuration_that_builds(prepared: Prepared, tmp_path: Path):
    config = settings(num_epochs=12, val_interval=3, warmup_epochs=3, early_stopping_patience=6)
    plan = make_plan(config, prepared)
    pace = choose_pace(config, plan, subjects=1)
    assert (pace.steps_per_epoch, pace.steps, pace.parts) == (4, 48, 1)
    engine = make_config(config, prepared, pace, tmp_path / "run")
    check_parts(engine)
    assert engine.train.budget.steps == 48
    assert engine.train.validations == 4
    assert engine.train.patience == 2
    assert engine.train.on_plateau == "stop"
    assert engine.optimizer.arguments["weight_decay"] == 1e-5
    schedule = WarmRestarts(**engine.schedule.arguments)
    assert schedule(0) == 0
    assert schedule(0.25) == 1
    # Two cycles, the second twice as long: the rate is highest again after a third of the rest.
    assert schedule(0.4999) < 0.01
    assert schedule(0.5) == pytest.approx(1)
    assert schedule(1) == pytest.approx(0)
    loss = assemble_loss(engine, plan)
    assert set(loss.terms) == {"Focal", "Edges", "HierarchicalFocal"}
    assemble_augmentation(engine, plan)
    assert engine.plan.file == tmp_path / "plan.json"
    write_plan(plan, engine.plan.file)
    assert read_plan(engine.plan.file) == plan


@pytest.mark.parametrize(("patience", "times"), [(1, 1), (5, 1), (7, 2), (10, 2), (20, 4)])
def test_a_patience_is_never_shorter_than_its_epochs(
    prepared: Prepared, tmp_path: Path, patience: int, times: int
):
    config = settings(num_epochs=100, val_interval=5, early_stopping_patience=patience)
    pace = choose_pace(config, make_plan(config, prepared), subjects=1)
    assert make_config(config, prepared, pace, tmp_path / "run").train.patience == times


def test_settings_that_are_off_leave_their_parts_out(prepared: Prepared, tmp_path: Path):
    config = settings(
        elastic_prob=0.0, noise_prob=0.0, cutmix_prob=0.0, boundary_weight=0.0, hierarchy_weight=0.0
    )
    pace = choose_pace(config, make_plan(config, prepared), subjects=1)
    engine = make_config(config, prepared, pace, tmp_path / "run")
    assert engine.augment == ()
    assert [term.name for term in engine.loss] == ["Focal"]


def test_a_batch_that_does_not_fit_goes_through_in_parts(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
):
    def measure(network: Any, *, batch_size: int, **_: Any) -> float:
        return batch_size * (0.5 if network.checkpointing else 1.0)

    monkeypatch.setattr("delineate.systems.brainstem.pace.measure_step", measure)

    def pace(memory_gb: float, **changes: Any) -> tuple[int, bool, float]:
        config = settings(batch_size=5, memory_gb=memory_gb, **changes)
        found = choose_pace(config, make_plan(config, prepared), subjects=2)
        assert found.steps_per_epoch == 4
        return found.parts, found.checkpointing, found.memory_gb

    assert pace(5.0) == (1, False, 5.0)
    assert pace(4.9) == (1, True, 2.5)
    assert pace(2.4) == (2, True, 1.5)
    assert pace(2.4, gradient_checkpointing=False) == (3, False, 2.0)
    assert pace(9.0, gradient_checkpointing=True) == (1, True, 2.5)
    # The engine halves on where memory runs out in earnest.
    assert pace(0.1) == (5, True, 0.5)


def test_the_pace_is_told_and_its_memory_counted(prepared: Prepared):
    config = settings()
    pace = choose_pace(config, make_plan(config, prepared), subjects=1)
    assert 0.01 < pace.memory_gb < 1
    assert pace.describe().startswith(
        "6 epochs of 4 steps; 2 patches go through the network in 1 p"
    )
    assert "too little" not in pace.describe()
    config = settings(memory_gb=0.001)
    pace = choose_pace(config, make_plan(config, prepared), subjects=1)
    assert "GB of too little, 0.001 GB (memory_gb)" in pace.describe()
