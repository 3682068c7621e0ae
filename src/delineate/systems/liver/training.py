"""The documented training as one call: loaders, network, module, trainer."""

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from delineate.systems.liver.lightning_module import SegmentationLightningModule
from delineate.systems.liver.loading import get_dataloader
from delineate.systems.liver.settings import ModelTrainingConfig
from delineate.systems.liver.subjects import find_pairs
from delineate.systems.liver.trainer import SegmentationTrainer

__all__ = ["train"]

log = logging.getLogger("delineate")


def train(config: ModelTrainingConfig) -> Mapping[str, float]:
    """Train on config.data_dir and test the best weights; the figures of the test set.

    A tree without test subjects is not tested, and there are no figures.
    """
    load = partial(get_dataloader, config.data_dir, num_workers=config.num_workers)
    batch = config.val_batch_size
    tested = bool(find_pairs(Path(config.data_dir) / "test"))
    trainer = SegmentationTrainer(
        config=config,
        model=SegmentationLightningModule(config=config),
        train_loader=load(
            "train",
            config.train_batch_size,
            shuffle=True,
            patch_size=config.patch_size,
            seed=config.seed,
        ),
        val_loader=load("val", batch),
        test_loader=load("test", batch) if tested else None,
    )
    trainer.fit()
    log.info("best checkpoint: %s", trainer.best_checkpoint)
    if not tested:
        log.warning("%s has no test subjects: nothing is tested.", config.data_dir)
        return {}
    return trainer.test()
