"""The Python blocks of the liver document, word for word, and a data set for them."""

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np

EXAMPLES = Path(__file__).parents[2] / "examples" / "liver"

MODULE = """
from model_training.lightning_module import SegmentationLightningModule
from configs.model_training_config import ModelTrainingConfig

config = ModelTrainingConfig()
model = YourSegmentationModel()
lightning_module = SegmentationLightningModule(model, config)
"""
TRAINER = """
from model_training.trainer import SegmentationTrainer
from model_training.lightning_module import SegmentationLightningModule

# Create trainer
trainer = SegmentationTrainer(
    config=config,
    model=lightning_module,
    train_loader=train_loader,
    val_loader=val_loader,
    test_loader=test_loader
)

# Train the model
trainer.fit()

# Test the model
trainer.test()
"""
LOSS = """
from model_training.losses import SegmentationCrossEntropyLoss

# Standard loss
loss_fn = SegmentationCrossEntropyLoss()

# With class weights for imbalanced data
class_weights = torch.tensor([1.0, 2.0, 3.0])  # Background, Liver, Tumor
loss_fn = SegmentationCrossEntropyLoss(weight=class_weights)
"""
METRICS = """
from model_training.metrics import dice_coefficient, jaccard_index, accuracy

# Compute metrics
dice = dice_coefficient(logits, targets, num_classes=3)
iou = jaccard_index(logits, targets, num_classes=3)
acc = accuracy(logits, targets)
"""
OPTIMIZER = """
from model_training.optimizers import get_optimizer

optimizer, scheduler = get_optimizer(config, model)

# Use in Lightning module
def configure_optimizers(self):
    optimizer, scheduler = get_optimizer(self.config, self)
    if scheduler:
        return {"optimizer": optimizer, "lr_scheduler": scheduler, "monitor": "val_loss"}
    return optimizer
"""
CALLBACKS = """
from model_training.callbacks import get_callbacks

callbacks = get_callbacks(config)
trainer = pl.Trainer(callbacks=callbacks)
"""
SETUP = """
from configs.model_training_config import ModelTrainingConfig

config = ModelTrainingConfig(
    model_name="dformer3d",
    data_dir="data_preprocessed",
    max_epochs=100,
    learning_rate=1e-4,
    optimizer="adamw",
    gpus=1
)
"""
MODEL = """
from models.transformers.d_former.network import SegNetwork
from model_training.lightning_module import SegmentationLightningModule

# Create model
model = SegNetwork(
    num_classes=config.num_classes,
    in_chan=config.input_channels,
    **config.model_params
)

# Create Lightning module
lightning_module = SegmentationLightningModule(model, config)
"""
LOADERS = """
from pipelines.data_loading_pipeline import get_dataloader

train_loader = get_dataloader(
    config.data_dir, 'train', 
    config.train_batch_size, 
    config.num_workers, 
    shuffle=True
)
val_loader = get_dataloader(
    config.data_dir, 'val', 
    config.val_batch_size, 
    config.num_workers, 
    shuffle=False
)
"""  # noqa: W291 - blanks at the ends of lines are the document's own
FIT = """
from model_training.trainer import SegmentationTrainer

# Create trainer
trainer = SegmentationTrainer(
    config=config,
    model=lightning_module,
    train_loader=train_loader,
    val_loader=val_loader
)

# Start training
trainer.fit()
"""
TARGET = """
config.target_label = 2  # Tumor label
"""
PRECISION = """
config.precision = "16-mixed"
"""
GPUS = """
config.gpus = 4  # Use 4 GPUs
"""
CUSTOM = """
def validation_step(self, batch, batch_idx):
    # ... existing code ...
    
    # Add custom metric
    custom_metric = self.compute_custom_metric(logits, y)
    self.log('val_custom_metric', custom_metric, on_epoch=True)
"""  # noqa: W293 - as above
EXISTING = "    # ... existing code ...\n"
"""What a user of the block puts code in place of."""
DEBUG = """
config.debug = True
"""
TENSORBOARD = "tensorboard --logdir logs/"
SHAPE = (20, 24, 16)


def copy_world(here: Path) -> Path:
    """A copy of examples/liver to run in."""
    return Path(shutil.copytree(EXAMPLES, here / "liver", ignore=shutil.ignore_patterns("__py*")))


def draw(rng: np.random.Generator, *, shape: tuple[int, ...] = SHAPE) -> tuple[np.ndarray, ...]:
    """A CT of HU in noise and its mask: a liver, and in it a tumour."""
    ids = np.zeros(shape, np.uint8)
    low = [int(n) for n in rng.integers(2, 5, 3)]
    ids[low[0] : low[0] + 12, low[1] : low[1] + 14, low[2] : low[2] + 9] = 1
    ids[low[0] + 3 : low[0] + 8, low[1] + 4 : low[1] + 9, low[2] + 2 : low[2] + 7] = 2
    image = np.choose(ids, [0.0, 150.0, 300.0]) + rng.normal(0, 15, shape)
    image[:1] = -1000
    return image.astype(np.float32), ids


def save(path: Path, array: np.ndarray, spacing: tuple[float, ...] = (1.0, 1.0, 1.0)) -> None:
    """A NIfTI file; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, np.diag([*spacing, 1.0])), path)


def write_tree(root: Path, *, dims: int = 3, cases: tuple[int, int, int] = (2, 1, 1)) -> Path:
    """A preprocessed tree of another program: images and labels, and nothing besides.

    In 2-D each is one slice.
    """
    rng = np.random.default_rng(0)
    kept = slice(None) if dims == 3 else slice(8, 9)
    for split, count in zip(("train", "val", "test"), cases, strict=True):
        for number in range(count):
            image, ids = draw(rng)
            values, name = (image.clip(-100, 400) - 100) / 150, f"{split}_{number}"
            save(root / split / f"{name}_image.nii.gz", values[..., kept].astype(np.float32))
            save(root / split / f"{name}_label.nii.gz", ids[..., kept])
    return root


def write_raw(root: Path, *, cases: int = 5) -> Path:
    """A Decathlon set of scans with long slices, some .nii and some .nii.gz."""
    rng = np.random.default_rng(1)
    for number in range(cases):
        image, ids = draw(rng)
        name = f"liver_{number}.nii" + (".gz" if number % 2 else "")
        save(root / "imagesTr" / name, image, (1.0, 1.0, 2.0))
        save(root / "labelsTr" / name, ids, (1.0, 1.0, 2.0))
    return root
