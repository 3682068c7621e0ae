"""Every block of the document, run from inside examples/brainstem on a small data set."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from brainstem_toys import write_tree
from nibabel import nifti1

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

EXAMPLE = Path(__file__).parents[2] / "examples" / "brainstem"
DATA = Path("data", "datasets", "brainstem_segmentation")
MODELS = Path("data", "models", "brainstem_segmentation")
BASIC = """
from brain.modules.brainstem_seg import BrainstemTrainer, TrainingConfig

# Configure training
config = TrainingConfig(
    batch_size=4,
    learning_rate=1e-4,
    num_epochs=100
)

# Initialize trainer
trainer = BrainstemTrainer(
    config=config,
    data_dir="data/datasets/brainstem_segmentation",
    output_dir="data/models/brainstem_segmentation"
)

# Start training
trainer.train()
"""
CUSTOM = """
config = TrainingConfig(
    # Model parameters
    embed_dim=768,
    vit_layers=8,
    gnn_layers=3,

    # Training parameters
    batch_size=2,  # Reduce for memory constraints
    learning_rate=5e-5,
    num_epochs=150,

    # Augmentation parameters
    elastic_prob=0.9,
    noise_prob=0.7,
    cutmix_prob=0.5
)
"""
SHORT = """num_epochs=2, samples_per_volume=4, val_interval=1, save_interval=1,
    patch_size=(16, 16, 16), token_size=4, embed_dim=16, num_heads=2, vit_layers=1, mlp_dim=32,
    head_width=8, num_workers=1, device="cpu"
"""
"""In place of the epochs of the first block, which is otherwise word for word."""
OTHERS = """
import numpy as np
import torch
from brain.modules.brainstem_seg import BrainstemDataset, HierarchicalLoss, MetricsTracker
from brain.modules.brainstem_segmentation import InferenceConfig, auto_segment_brainstem
from brain.modules.brainstem_segmentation.data_augmentation_designer import AugmentationPipeline
from brain.modules.brainstem_segmentation.model_architecture_designer import ViTGNN
from brain.modules.brainstem_seg.pipeline import TrainingConfig

config = TrainingConfig(patch_size=(16, 16, 16))
data = BrainstemDataset("data/datasets/brainstem_segmentation", config, "val")
image, labels = data[0]
network = ViTGNN(1, 6, embed_dim=16, num_heads=2, vit_layers=1, mlp_dim=32, patch_size=4)
logits = network(image[None]).logits
terms = HierarchicalLoss(data.labels, config)(logits, labels[None])
assert set(terms) == {"total_loss", "focal_loss", "boundary_loss", "hierarchy_loss"}
tracker = MetricsTracker(6)
tracker.update(logits, labels[None], terms)
assert 0 <= tracker.compute()["dice"] <= 1
pipeline = AugmentationPipeline(elastic_prob=1.0)
other, ids = data[1]
parts = data.subdivision_mask(0)
seen, ids = pipeline.augment_sample(image[0], labels, parts, other[0], ids)
assert seen.shape == image[0].shape and ids.shape == labels.shape
found = auto_segment_brainstem("data/datasets/brainstem_segmentation/nextbrain/T2w.nii.gz")
np.save("found.npy", found)
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """After the first block."""
    here = tmp_path_factory.mktemp("document") / "brainstem"
    kept = shutil.ignore_patterns("__pycache__")
    world = Path(shutil.copytree(EXAMPLE, here, ignore=kept))
    write_tree(world / DATA)
    assert "num_epochs=100\n" in BASIC
    run(world, "-c", BASIC.replace("num_epochs=100\n", SHORT) + CUSTOM)
    return world


def run(world: Path, *words: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=world,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        timeout=600,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stderr


def test_the_document_lists_what_is_there(world: Path):
    for name in ("checkpoint_epoch_000.pth", "checkpoint_epoch_001.pth", "best_model.pth"):
        content = torch.load(world / MODELS / name, weights_only=True)
        assert content["config"]["learning_rate"] == 1e-4
    said = json.loads((world / MODELS / "pipeline_configuration.json").read_text())
    assert said["training_parameters"]["batch_size"] == 4
    assert "validation after epoch 2" in (world / MODELS / "training.log").read_text()
    assert (world / DATA / "scripts" / "training_augmentations.py").is_file()


def test_all_that_the_document_names_works(world: Path):
    run(world, "-c", OTHERS)
    found = np.load(world / "found.npy")
    assert found.shape == nifti1.load(world / DATA / "nextbrain" / "T2w.nii.gz").shape
    run(world, str(DATA / "scripts" / "training_augmentations.py"))


def test_a_mistake_is_a_message(tmp_path: Path):
    world = Path(shutil.copytree(EXAMPLE, tmp_path / "brainstem"))
    said = run(world, "-m", "brain.modules.brainstem_seg.pipeline", code=2)
    assert "no folder in it has T2w.nii.gz and manual_segmentation.nii.gz" in said
    assert "Traceback" not in said
    assert "Warning" not in said
