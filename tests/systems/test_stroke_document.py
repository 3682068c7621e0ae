"""Every command and every block of Python of the document, run from inside examples/stroke."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import stroke_world
import yaml
from nibabel import nifti1

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

OPTION_1 = "python sota_training_pipeline.py --progressive"
OPTION_2 = "python sota_training_pipeline.py --stage stage3_hybrid_small"
OPTION_3 = "python optimized_hybrid_training.py"
OPTION_4 = """
from config.auto_config import create_auto_config

# Generate config for your hardware
auto_config = create_auto_config(target_memory_gb=20)
config = auto_config.generate_complete_config(dataset_size=655)

# Save and use
with open('custom_config.yaml', 'w') as f:
    yaml.dump(config, f)
"""
USE = "python sota_training_pipeline.py --config custom_config.yaml"
EVALUATE = "python sota_training_pipeline.py --evaluate models/stage4_hybrid_full_final.h5"
PREDICT = """
from inference import generate_test_predictions

# Load best model
model_path = "models/stage4_hybrid_full_final.h5"

# Generate predictions for test set
generate_test_predictions(
    model_path=model_path,
    test_dir="/mnt/beegfs/hellgate/home/rb194958e/Atlas_2/Testing",
    output_dir="predictions/test_set"
)
"""
PLACE = "/mnt/beegfs/hellgate/home/rb194958e/"
"""Of the document's author; the data lie in the folder here."""
SHOW = """
from visualization import plot_segmentation_results

# Compare prediction with ground truth
plot_segmentation_results(
    image_path="test_image.nii.gz",
    prediction_path="prediction.nii.gz",
    ground_truth_path="ground_truth.nii.gz",
    save_path="visualization.png"
)
"""
STAGES = ("stage1_basic", "stage2_attention", "stage3_hybrid_small", "stage4_hybrid_full")


@pytest.fixture(scope="module")
def world(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """After option 1."""
    world = stroke_world.copy_world(real_data, tmp_path_factory.mktemp("document"))
    command(world, OPTION_1)
    return world


def command(world: Path, line: str) -> tuple[str, str]:
    """A line as it is typed."""
    program, *words = line.split()
    assert program == "python"
    return stroke_world.run(world, *words)


def block(world: Path, text: str) -> None:
    """A block of Python, beside which a user has imported yaml."""
    stroke_world.run(world, "-c", f"import yaml\n{text}")


def test_option_1_trains_every_stage(world: Path):
    assert {path.name for path in (world / "callbacks").glob("stage*_*")} == set(STAGES)
    (results,) = (world / "results").glob("progressive_training_*.json")
    said = json.loads(results.read_text())
    assert tuple(said) == STAGES
    for name, stage in said.items():
        assert Path(stage["model_path"]) == Path("models", f"{name}_final.zip")
        assert {"dice", "sensitivity", "specificity", "lesion_f1"} == stage["metrics"].keys()


def test_option_2_keeps_the_stage_that_is_finished(world: Path):
    before = (world / "callbacks" / STAGES[2] / "report.html").stat().st_mtime_ns
    _, err = command(world, OPTION_2)
    assert "stage 3 of 4, stage3_hybrid_small: finished" in err
    assert (world / "callbacks" / STAGES[2] / "report.html").stat().st_mtime_ns == before


def test_option_3_trains_the_full_network_without_stages(world: Path):
    out, _ = command(world, OPTION_3)
    assert out == "Model: models/hybrid_final_8f_transformer.zip\n"
    assert (world / "logs" / "training_history_8f_transformer.csv").is_file()
    assert "finished already" in command(world, OPTION_3)[1]


def test_option_4_writes_a_configuration_and_trains_by_it(world: Path):
    block(world, OPTION_4)
    path = world / "custom_config.yaml"
    made = yaml.safe_load(path.read_text())
    assert made["meta"]["target_memory_gb"] == 20
    # As it is, it asks for a card of 20 GB: only its sizes are made small.
    tiny = yaml.safe_load((world / "config" / "default.yaml").read_text())
    made["model"] |= tiny["model"] | {"depth": 2}
    made["training"] |= tiny["training"] | {"epochs": 1, "batch_size_per_gpu": 2}
    made["hardware"] |= tiny["hardware"] | {"num_workers": 0}
    made["stages"] = {name: {"epochs": 1} for name in STAGES}
    path.write_text(yaml.safe_dump(made))
    command(world, USE)
    # Another configuration than that of option 1, whose run is left alone.
    assert (world / "callbacks_2" / STAGES[3] / "report.html").is_file()
    command(world, OPTION_1)
    assert not (world / "callbacks_3").exists()


def test_evaluation_takes_the_held_out_cases_on_their_own_grids(world: Path):
    out, err = command(world, EVALUATE)
    assert "models here are packages of delineate; models/stage4_hybrid_full_final.zip" in err
    said = json.loads((world / out.removeprefix("Results: ").strip()).read_text())
    note = json.loads((world / "models" / "stage4_hybrid_full_final.json").read_text())
    assert sorted(said["cases"]) == sorted(note["validation"])
    for case, figures in said["cases"].items():
        image = world / "Atlas_2" / "Training" / "Masks"
        truth = np.asarray(nifti1.load(next(image.glob(f"{case.removesuffix('_T1w')}*"))).dataobj)
        mask = world / "results" / "evaluation_stage4_hybrid_full_final" / f"{case}.nii.gz"
        found = np.asarray(nifti1.load(mask).dataobj)
        assert found.shape == truth.shape
        dice = 2 * (found * truth).sum() / (found.sum() + truth.sum())
        assert figures["dice"] == pytest.approx(dice, abs=1e-5)


def test_the_test_set_is_predicted(world: Path):
    assert PLACE in PREDICT
    block(world, PREDICT.replace(PLACE, ""))
    (made,) = (world / "predictions" / "test_set").glob("*.nii.gz")
    (scan,) = (world / "Atlas_2" / "Testing" / "Images").iterdir()
    assert made.name == scan.name
    assert nifti1.load(made).shape == nifti1.load(scan).shape
    one, other = (np.asarray(nifti1.load(path).affine) for path in (made, scan))
    assert np.allclose(one, other)


def test_results_are_drawn(world: Path):
    scan = next((world / "Atlas_2" / "Training" / "Images").iterdir())
    name = scan.name.removesuffix("_T1w.nii.gz")
    truth = next((world / "Atlas_2" / "Training" / "Masks").glob(f"{name}*"))
    shutil.copy(scan, world / "test_image.nii.gz")
    for copy in ("prediction.nii.gz", "ground_truth.nii.gz"):
        shutil.copy(truth, world / copy)
    block(world, SHOW)
    assert (world / "visualization.png").read_bytes().startswith(b"\x89PNG")


def test_the_blocks_in_tensorflow_have_an_equivalent_that_runs(world: Path):
    text = (world / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    # What the block's user has: a batch of images and masks.
    given = (
        "import torch\nimages = torch.randn(1, 1, 16, 16, 16)\n"
        "masks = (torch.rand(1, 1, 16, 16, 16) > 0.5).float()\n"
    )
    after = (
        "loss.backward()\nbefore = [w.detach().clone() for w in base_model.parameters()]\n"
        "optimizer.step()\n"
        "moved = [not torch.equal(a, b) for a, b in zip(before, base_model.parameters())]\n"
        "frozen = sum(len(list(x.parameters(recurse=False))) for x in layers_of(base_model)[:20])\n"
        "assert frozen > 20 and not any(moved[:20]) and moved[-1], moved\n"
        "assert 0 <= dice_coefficient(base_model(images), masks) <= 1\n"
    )
    stroke_world.run(world, "-c", given + code + after)


def test_the_job_script_is_sound_and_names_no_cluster(world: Path):
    script = world / "scripts" / "sota_submission_script.sh"
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    assert not re.search(r"module load \w+/|/mnt|/home|LD_LIBRARY", script.read_text())
    # srun as it is without a cluster.
    programs = world / "bin"
    programs.mkdir()
    (programs / "srun").write_text('#!/bin/bash\nshift\nexec "$@"\n')
    (programs / "python").write_text(f'#!/bin/bash\nexec {sys.executable} "$@"\n')
    for path in programs.iterdir():
        path.chmod(0o755)
    done = subprocess.run(
        ["bash", script, "--stage", "stage1_basic"],
        cwd=world,
        env={"PATH": f"{programs}:/usr/bin:/bin", "SLURM_CPUS_PER_TASK": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "stage1_basic: finished" in done.stderr


def test_a_model_that_is_not_there_is_told(world: Path):
    process = stroke_world.begin(world, "sota_training_pipeline.py", "--evaluate", "models/a.h5")
    _, err = process.communicate()
    assert process.returncode == 2
    assert "models/a.zip: no such model (asked for as a.h5). There are: models/" in err
