"""The command lines of SADAAN's document, word for word, and a data set for them."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

DOCUMENT = r"""
python train_hdf5.py
python train_hdf5.py with dataset_path='./my_medical_dataset_hdf5'
python train_hdf5.py with training.batch_size=8 training.learning_rate=1e-3
python train_hdf5.py with training.num_epochs=200 training.early_stopping_patience=30
python train_hdf5.py with training.batch_size=2 training.gradient_accumulation_steps=4
python train_hdf5.py with model.in_channels=1
python train_hdf5.py with model.in_channels=3
python train_hdf5.py with model.presence_threshold=0.3
python train_hdf5.py with loss_weights.dice=3.0 loss_weights.segmentation=0.5
python train_hdf5.py with loss_weights.attention_supervision=1.0
python train_hdf5.py with loss_weights.false_positive_suppression=1.0
python train_hdf5.py with augmentation.enabled=True augmentation.noise_std=3.0
python train_hdf5.py with augmentation.intensity_scale_range=[0.9,1.1]
python train_hdf5.py with augmentation.enabled=False
python train_hdf5.py with optimizer.type='adamw' optimizer.weight_decay=5e-4
python train_hdf5.py with optimizer.lr_scheduler='cosine_annealing'
python train_hdf5.py with optimizer.lr_scheduler='reduce_on_plateau'
python train_hdf5.py with checkpoint.save_dir='./experiments/run_001'
python train_hdf5.py with checkpoint.save_frequency=5
python train_hdf5.py with checkpoint.keep_best_only=True
python train_hdf5.py with \
    training.batch_size=16 \
    training.num_workers=8 \
    training.image_size=[256,256,128] \
    training.learning_rate=1e-3
python train_hdf5.py with \
    training.batch_size=2 \
    training.gradient_accumulation_steps=8 \
    training.memory_cleanup_frequency=2 \
    training.num_workers=2
python train_hdf5.py with \
    training.num_epochs=500 \
    training.early_stopping_patience=50 \
    loss_weights.attention_supervision=1.5 \
    optimizer.lr_scheduler='cosine_annealing' \
    augmentation.enabled=True \
    logging.visualize_predictions=True
python train_hdf5.py with \
    training.num_epochs=5 \
    training.batch_size=2 \
    logging.log_frequency=1 \
    checkpoint.save_frequency=1
python train_hdf5.py with training.batch_size=1 training.gradient_accumulation_steps=8
python train_hdf5.py  # Uses FileStorageObserver by default
python train_hdf5.py with training.num_workers=4
python train_hdf5.py with \
    training.num_workers=8 \
    training.memory_cleanup_frequency=10 \
    augmentation.enabled=False
python train_hdf5.py with \
    loss_weights.dice=3.0 \
    training.gradient_clip_norm=1.0 \
    optimizer.weight_decay=1e-5 \
    augmentation.noise_std=1.0
python train_hdf5.py with loss_weights='{
    "segmentation": 1.0,
    "dice": 4.0,
    "focal_seg": 0.5,
    "attention_supervision": 2.0
}'
CUDA_VISIBLE_DEVICES=0,1 python train_hdf5.py with training.batch_size=8
"""
SHORT = (
    "training.num_epochs=2", "training.image_size=[32,16,16]", "training.num_workers=0",
    "training.validate_every_n_epochs=1",
)  # fmt: skip
"""What makes any of them short: given behind, it wins."""
NAMES = ("liver", "left_kidney", "right_kidney")


def commands() -> list[list[str]]:
    """The words behind train_hdf5.py of each, as a shell hands them over."""
    words = shlex.split(DOCUMENT.replace("\\\n", " "), comments=True)
    starts = [i for i, word in enumerate(words) if word == "train_hdf5.py"]
    ends = [i - 1 for i in starts[1:]] + [len(words)]
    found = [words[start + 1 : end] for start, end in zip(starts, ends, strict=True)]
    return [[w for w in line if not w.startswith("CUDA_VISIBLE_DEVICES")] for line in found]


def write_set(
    root: Path,
    *,
    cases: Sequence[int] = (4, 2),
    shape: Sequence[int] = (16, 16, 16),
    channels: int = 1,
    sides: int = 2,
) -> Path:
    """A documented set: three blocks, of which each sample lacks one at most.

    Args:
        sides: the axis along which the left kidney lies below the right one.
    """
    root.mkdir(parents=True)
    facts = {"structure_names": NAMES, "image_size": list(shape), "num_structures": len(NAMES)}
    (root / "metadata.json").write_text(json.dumps(facts))
    rng = np.random.default_rng(0)
    for split, count in zip(("train", "val"), cases, strict=True):
        masks = np.zeros((count, 3, *shape), bool)
        for i, structure in np.ndindex(count, 3):
            if (i + structure) % 4 != 3:
                # No two masks are alike: the doctor takes those for copies.
                starts = rng.integers(1, 6, 3)
                box = [slice(s, s + int(rng.integers(3, 7))) for s in starts.tolist()]
                n = shape[sides]
                box[sides] = (
                    slice(6 * n // 16, 9 * n // 16), slice(1, 5 * n // 16), slice(11 * n // 16, n),
                )[structure]  # fmt: skip
                masks[(i, structure, *box)] = True
        images = np.tensordot(masks, [60.0, 120.0, 200.0], axes=(1, 0))
        images = np.clip(images + rng.normal(20, 5, images.shape), 0, 255).astype(np.float32)
        with h5py.File(root / f"{split}.h5", "w") as file:
            file["images"] = images if channels == 1 else np.stack([images] * channels, axis=1)
            file["masks"] = masks
            file["presence_labels"] = masks.any((2, 3, 4)).astype(np.int64)
            file.create_dataset("scenarios", data=["usual"] * count, dtype=h5py.string_dtype())
            file.attrs["n_samples"] = count
    return root
