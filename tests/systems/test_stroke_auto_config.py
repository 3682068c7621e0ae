"""The configuration made for a data set and a machine: documented rules, measured memory."""

import subprocess
import sys
from functools import cache
from math import inf, prod
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml

from delineate.errors import DataError, PlanError
from delineate.labels import Labels
from delineate.models import HybridCNNTransformer
from delineate.plan import measure_step
from delineate.plan.dry_run import build_dry
from delineate.systems.stroke import create_auto_config, memory
from delineate.systems.stroke.brain import find_brain
from delineate.systems.stroke.memory import Machine, Steps, target_memory
from delineate.systems.stroke.rules import (
    augmentation_rules,
    input_shape,
    larger_shapes,
    loss_rules,
    training_rules,
)
from delineate.systems.stroke.search import choose

ATLAS = (197, 233, 189)
DOCUMENTED_GB = {
    "stage1_basic": 6,
    "stage2_attention": 10,
    "stage3_hybrid_small": 15,
    "stage4_hybrid_full": 20,
}
NO_CARD = Machine(cards=0, card_gb=0.0, free_gb=12.0, cores=4)


@pytest.fixture(autouse=True)
def without_a_card(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest):
    """What is tested is the same on every machine."""
    if "gpu" not in request.keywords:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def formula(network: Any, shape: Any, batch: int, device: str = "cuda", *, real: bool) -> float:
    """About what a step of the network takes, in closed form."""
    said = dict(network)
    each = 8e-8 * said["base_filters"] * (0.36 if said["checkpointing"] else 1)
    return 9e-3 * said["base_filters"] + each * batch * prod(shape)


@pytest.fixture
def by_formula(monkeypatch: pytest.MonkeyPatch):
    """Many searches in no time."""
    monkeypatch.setattr(memory, "_step", formula)
    monkeypatch.setattr(memory, "_line", cache(memory._line.__wrapped__))


def measured(config: dict[str, Any]) -> float:
    """GB of a step of what a configuration says, counted on its own."""
    model, training = config["model"], config["training"]

    def build() -> torch.nn.Module:
        return HybridCNNTransformer(
            1,
            2,
            base_filters=model["base_filters"],
            depth=model["depth"],
            blocks=(1, 2, 4, 6, 6),
            attention=model["use_attention"],
            transformer=model["use_transformer"],
            transformer_depth=model["transformer_depth"],
            deep_supervision=model["use_deep_supervision"],
            dropout=model["dropout"],
            checkpointing=training["gradient_checkpointing"],
        )

    card = torch.cuda.is_available()
    return measure_step(
        build() if card else build_dry(build),
        patch=model["input_shape"][:3],
        batch_size=training["batch_size_per_gpu"],
        channels=model["input_shape"][3],
        labels=Labels.from_names({"lesion": 1}),
        device="cuda",
        precision="bf16",
    )


@pytest.mark.parametrize(
    ("memory_gb", "shape"),
    [
        (20, (160, 192, 160)), (16, (144, 176, 144)), (12, (128, 144, 128)),
        (8, (112, 128, 112)), (7.9, (96, 112, 96)),
    ],
)  # fmt: skip
def test_samples_have_the_documented_shape(memory_gb: float, shape: tuple[int, ...]):
    assert input_shape(memory_gb, ATLAS) == shape


def test_samples_are_never_larger_than_the_padded_scan():
    assert input_shape(20, (60, 70, 33)) == (64, 80, 48)
    assert larger_shapes((160, 192, 160), ATLAS) == [(176, 208, 176), (208, 240, 192)]
    assert larger_shapes((64, 80, 48), (60, 70, 33)) == []


@pytest.mark.parametrize(
    ("cases", "epochs", "patience", "rate", "changed", "schedule"),
    [
        (199, 150, 25, 5e-5, 0.8, "cosine_decay"),
        (200, 120, 20, 1e-4, 0.6, "reduce_on_plateau"),
        (500, 100, 15, 1e-4, 0.4, "polynomial_decay"),
    ],
)
def test_training_follows_the_number_of_cases(
    cases: int, epochs: int, patience: int, rate: float, changed: float, schedule: str
):
    rules = training_rules(cases)

    assert (rules["epochs"], rules["patience"], rules["learning_rate"]) == (epochs, patience, rate)
    assert (rules["augmentation_prob"], rules["lr_schedule"]["type"]) == (changed, schedule)


@pytest.mark.parametrize(
    ("percent", "weights", "gamma", "degrees"),
    [(0.09, (0.4, 0.4, 0.2), 3, 10), (0.1, (0.5, 0.3, 0.2), 2, 15), (1, (0.6, 0.3, 0.1), 2, 20)],
)
def test_loss_and_augmentation_follow_the_size_of_lesions(
    percent: float, weights: tuple[float, ...], gamma: float, degrees: int
):
    loss, changes = loss_rules(percent), augmentation_rules(percent)

    assert tuple(loss[f"{n}_weight"] for n in ("dice", "focal", "boundary")) == weights
    assert (loss["focal_gamma"], loss["focal_alpha"]) == (gamma, 0.25)
    assert changes["rotation_range"] == [-degrees, degrees]
    assert changes["spatial_prob"] == (0.6 if percent < 0.1 else 0.8)


def test_the_memory_of_a_card_is_asked_for_and_capped():
    card = Machine(cards=2, card_gb=24.0, free_gb=23.0, cores=8)
    busy = Machine(cards=1, card_gb=24.0, free_gb=10.0, cores=8)

    assert target_memory(None, card)[::2] == (pytest.approx(19.2), "cuda")
    assert target_memory(None, busy)[0] == pytest.approx(9)
    assert target_memory(20, card) == (20, "as asked for; of the card's 24.0 GB, 23.0 GB are free",
                                       "cuda")  # fmt: skip
    assert target_memory(40, card)[0] == pytest.approx(20.7)
    assert "40 GB were asked for" in target_memory(40, card)[1]
    assert target_memory(40, NO_CARD)[::2] == (40, "cuda")
    assert target_memory(None, NO_CARD)[2] == "cpu"


@pytest.mark.slow
def test_a_step_of_what_is_chosen_fits_and_fills_the_memory():
    budget = 4
    config = create_auto_config(target_memory_gb=budget).generate_complete_config(655)

    took = measured(config)
    assert 0.7 * budget < took <= budget
    assert config["meta"]["estimated_memory_gb"] == pytest.approx(took, abs=0.01)
    assert config["meta"]["architecture_level"] == "hybrid_large"


@pytest.mark.usefixtures("by_formula")
@pytest.mark.parametrize("cases", [30, 655])
def test_the_search_leaves_no_gap_between_4_and_80_gb(cases: int):
    for tenths in range(40, 801, 7):
        budget = tenths / 10
        setup = choose(budget, Steps("cuda"), scan=ATLAS, cases=cases, on_cpu=False)
        assert 0.7 <= setup.memory_gb / budget <= 1, (budget, setup)


@pytest.mark.slow
@pytest.mark.parametrize("cases", [30, 655])
def test_all_budgets_from_4_to_80_gb_are_kept_and_filled(cases: int):
    for budget in (4, 5, 6, 8, 10, 12, 14, 16, 20, 24, 28, 36, 40, 48, 55, 56, 64, 72, 80):
        config = create_auto_config(target_memory_gb=budget).generate_complete_config(cases)
        assert 0.7 < measured(config) / budget <= 1, (budget, config["model"])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
def test_on_a_card_the_real_step_fits_and_fills_the_memory():
    free = torch.cuda.mem_get_info()[0] / 1e9
    for budget in (b for b in (4, 8, 16, 20, 40, 80) if b < 0.9 * free):
        config = create_auto_config(target_memory_gb=budget).generate_complete_config(655)
        assert 0.7 < measured(config) / budget <= 1, (budget, config["model"])


@pytest.mark.parametrize("excess", [1.3, 0.6, inf])
def test_where_a_card_takes_more_or_less_than_predicted_the_search_is_done_again(
    excess: float, monkeypatch: pytest.MonkeyPatch, by_formula: None
):
    real_steps = []

    def step(network: Any, shape: Any, batch: int, device: str, *, real: bool) -> float:
        gb = formula(network, shape, batch, real=False)
        real_steps.extend([gb] if real else [])
        if excess < inf or not real:
            return gb * (excess if real else 1)
        return inf if len(real_steps) == 1 else gb

    monkeypatch.setattr(memory, "_step", step)
    monkeypatch.setattr(memory, "has_card", lambda device: True)

    config = create_auto_config(target_memory_gb=20).generate_complete_config(655)

    assert 14 <= config["meta"]["estimated_memory_gb"] <= 20
    assert 2 <= len(real_steps) <= 4


@pytest.mark.usefixtures("by_formula")
def test_less_memory_means_a_smaller_network_and_too_little_is_refused():
    meta = create_auto_config(target_memory_gb=0.5).generate_complete_config()["meta"]
    assert (meta["architecture_level"], meta["dataset_size"]) == ("basic", 600)
    assert meta["reasons"][0].startswith("The network is basic")

    with pytest.raises(PlanError, match=r"=0\.01 is too little.*Fix: target_memory_gb=0\.17"):
        create_auto_config(target_memory_gb=0.01).generate_complete_config()
    with pytest.raises(ValueError, match="target_memory_gb must be above 0, got 0"):
        create_auto_config(target_memory_gb=0)
    with pytest.raises(ValueError, match="dataset_size must be at least 1, got 0"):
        create_auto_config(target_memory_gb=4).generate_complete_config(dataset_size=0)


@pytest.mark.usefixtures("by_formula")
def test_without_a_card_and_a_budget_it_is_a_small_training_for_a_cpu():
    config = create_auto_config().generate_complete_config()

    assert config["meta"]["architecture_level"] == "basic"
    assert config["training"]["mixed_precision"] is False
    assert config["training"]["gradient_checkpointing"] is False
    assert config["meta"]["estimated_memory_gb"] <= config["meta"]["target_memory_gb"] <= 8
    assert "there is no card" in config["meta"]["target_memory_why"]


@pytest.mark.usefixtures("by_formula")
def test_a_configuration_is_plain_and_has_the_documented_sections(tmp_path: Path):
    path = tmp_path / "new" / "custom_config.yaml"
    config = create_auto_config(target_memory_gb=np.float64(20)).generate_complete_config(
        dataset_size=655, save_path=path
    )

    assert yaml.safe_load(yaml.dump(config)) == config
    assert yaml.safe_load(path.read_text()) == config
    assert {"model", "training", "loss", "augmentation", "hardware", "meta"} < config.keys()
    assert config["model"]["input_shape"] == [160, 192, 160, 1]
    assert config["training"]["validation_split"] == 0.2
    assert config["stages"]["stage1_basic"] == {
        "input_shape": [96, 96, 96], "batch_size": 2, "epochs": 30
    }  # fmt: skip


@pytest.mark.slow
def test_the_four_stages_are_as_documented_and_within_its_table_of_memory():
    stages = create_auto_config(target_memory_gb=20).get_progressive_configs()

    assert list(stages) == list(DOCUMENTED_GB)
    shapes = [stage["model"]["input_shape"][0] for stage in stages.values()]
    assert shapes == [96, 112, 128, 144]
    assert [s["training"]["epochs"] for s in stages.values()] == [30, 40, 50, 100]
    assert [s["training"]["batch_size_per_gpu"] for s in stages.values()] == [2, 1, 1, 1]
    assert [s["model"]["base_filters"] for s in stages.values()] == [16, 24, 32, 48]
    assert all(stages[n]["estimated_memory_gb"] < gb for n, gb in DOCUMENTED_GB.items())


@pytest.mark.usefixtures("by_formula")
def test_a_stage_that_does_not_fit_is_cut_down_and_says_so():
    last = create_auto_config(target_memory_gb=3).get_progressive_configs()["stage4_hybrid_full"]

    assert last["estimated_memory_gb"] <= 3
    assert last["model"]["input_shape"] == [112, 112, 112, 1]
    assert last["reasons"] == ["Samples have 112x112x112 voxels, documented are 144x144x144."]


@pytest.mark.usefixtures("by_formula")
def test_small_scans_cannot_fill_much_memory_and_it_says_so(tmp_path: Path):
    write_scans(tmp_path, [50, 100])

    config = create_auto_config(tmp_path, target_memory_gb=20).generate_complete_config()

    assert config["model"]["input_shape"] == [32, 48, 16, 1]
    assert config["meta"]["dataset_size"] == 2
    assert config["meta"]["dataset"]["average_lesion_percent"] == pytest.approx(1.25)
    assert config["loss"]["dice_weight"] == 0.6
    assert config["data"]["data_dir"] == str(tmp_path)
    assert "the scans are too small or too few" in config["meta"]["reasons"][-1]


@pytest.mark.parametrize("form", ["flat", "bids"])
def test_both_forms_of_atlas_are_read_for_real(tmp_path: Path, form: str):
    write_scans(tmp_path, [6, 60, 120], form=form)

    facts = create_auto_config(tmp_path).analyze_dataset()

    assert (facts["cases"], facts["scans"], facts["cases_read"]) == (3, 4, 3)
    assert facts["median_shape"] == [24, 40, 16]
    assert facts["voxel_size"] == [1.0, 1.0, 2.0]
    # Of the 6000 voxels of the brain.
    assert facts["average_lesion_percent"] == pytest.approx(100 * 62 / 6000, abs=1e-4)
    assert facts["lesion_percent_range"] == pytest.approx([0.1, 2])


def test_a_mask_on_another_grid_and_a_folder_without_masks_are_refused(tmp_path: Path):
    write_scans(tmp_path, [6], mask_shape=(24, 40, 15))
    with pytest.raises(DataError, match="the mask has 24x40x15 voxels, the scan 24x40x16"):
        create_auto_config(tmp_path).analyze_dataset()


def test_the_brain_is_found_inside_a_head():
    grid = np.stack(np.meshgrid(*(np.arange(-105, 105, 3.0),) * 3, indexing="ij"))
    away = np.sqrt((grid**2).sum(0))
    # Brain with a ventricle, dark skull, bright scalp that a few thin bridges reach.
    head = np.select([away < 8, away < 72, away < 84, away < 96], [20, 100, 15, 130], 0.0)
    head[35:, 35:36, 35:36] = 100.0
    noisy = np.clip(head + np.random.default_rng(0).normal(0, 3, head.shape), 0, None)

    found = find_brain(noisy, (3, 3, 3))

    truth = away < 72
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.97
    only_brain = np.where(truth, head, 0)
    assert np.array_equal(find_brain(only_brain, (3, 3, 3)), truth)


def test_importing_the_front_imports_no_torch():
    code = "import sys, delineate.systems.stroke; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def write_scans(
    root: Path,
    lesions: list[int],
    *,
    form: str = "flat",
    mask_shape: tuple[int, ...] = (24, 40, 16),
) -> None:
    """Stripped scans, each with a brain of 6000 voxels and a lesion of so many; one for testing."""
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    for number, size in enumerate([*lesions, 0]):
        image, mask = np.zeros((24, 40, 16), np.float32), np.zeros(mask_shape, np.uint8)
        image[2:22, 5:35, 3:13] = 100
        inside = np.argwhere(image[tuple(slice(n) for n in mask_shape)] > 0)[:size]
        mask[tuple(inside.T)] = 1
        testing = number == len(lesions)
        stem = f"sub-r0{number}s001_ses-1_space-MNI152NLin2009aSym"
        split = "Testing" if testing else "Training"
        if form == "flat":
            images, masks = root / split / "Images", root / split / "Masks"
        else:
            images = masks = root / split / f"R0{number}" / stem[:12] / "ses-1" / "anat"
        images.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(image, affine), images / f"{stem}_T1w.nii.gz")
        if not testing:
            masks.mkdir(parents=True, exist_ok=True)
            name = f"{stem}_label-L_desc-T1lesion_mask.nii.gz"
            nib.save(nib.Nifti1Image(mask, affine), masks / name)
