"""The documented Lightning module: any network, the loss, figures over the data set.

`training_step`, `validation_step` and `test_step` take the batches of `get_dataloader`, or pairs of
image and label. Each stage ends with its loss, dice, iou, bf1 and acc, and dice/<class>; the
training logs them of single batches, too, and measures boundaries only there.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.trainer.states import TrainerStatus
from torch import Tensor, nn

from delineate.contracts import Output
from delineate.models import as_output
from delineate.systems.liver.agreement import Agreement, measure, overall
from delineate.systems.liver.answer import answer, finest, predict, slice_axis
from delineate.systems.liver.debugging import FIRST_BATCHES, describe_step
from delineate.systems.liver.epoch_figures import EpochFigures
from delineate.systems.liver.labelled_batch import (
    LabelledBatch,
    as_slices,
    check_labels,
    read_batch,
    read_image,
)
from delineate.systems.liver.losses import make_loss
from delineate.systems.liver.networks import network_of
from delineate.systems.liver.optimizers import check_optimizer, get_optimizer
from delineate.systems.liver.settings import (
    ModelTrainingConfig,
    PreprocessingConfig,
    plain,
    read_settings,
)
from delineate.systems.liver.subjects import SETTINGS

__all__ = ["SegmentationLightningModule"]


class SegmentationLightningModule(LightningModule):
    """What one step does, for any Trainer.

    Args:
        model: from images (b, c, *s) to logits (b, k, *s), to several of them with the finest
            first, or to an Output; None builds the network of the settings.
        config: the settings, or a mapping of their keys.
    """

    def __init__(
        self,
        model: nn.Module | None = None,
        config: ModelTrainingConfig | Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(config, ModelTrainingConfig):
            config = ModelTrainingConfig(**(config or {}))
        config.check()
        check_optimizer(config)
        self.config = config
        self.model = network_of(config) if model is None else model
        self.loss = make_loss(config)
        self._figures = {stage: EpochFigures() for stage in ("train", "val", "test")}
        self._number: int | None = None
        self.save_hyperparameters(_record(config))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (b, k, *s) at the images' resolution, all channels of the network."""
        return finest(as_output(self.model(x), x))

    def setup(self, stage: str) -> None:
        """Look at the settings once more, which may have been changed since, and record them."""
        self.config.check()
        self.loss = make_loss(self.config)
        self.save_hyperparameters(_record(self.config))

    def log(self, *args: Any, **kwargs: Any) -> None:
        """As Lightning's; a figure of a batch counts by the number of its cases."""
        if kwargs.get("batch_size") is None:
            kwargs["batch_size"] = self._number
        super().log(*args, **kwargs)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The loss of a batch; every few batches its figures are logged as well."""
        cases = as_slices(self._read(batch), slice_axis(self.config.patch_size))
        output = self._ask(cases.image)
        loss = self.loss(output, cases.target)
        self._debug("train", batch_idx, cases, output, loss)
        shown = self._is_run and batch_idx % getattr(self.trainer, "log_every_n_steps", 1) == 0
        found = self._measure(cases, finest(output), boundaries=shown)
        for i, agreement in enumerate(found):
            self._figures["train"].add(f"{self.global_rank}/{batch_idx}/{i}", agreement)
        if shown:
            figures = {f"{name}_step": value for name, value in overall(found).items()}
            self._log("train", figures, on_step=True, on_epoch=False)
        self._log("train", {"loss": loss}, on_step=True, prog_bar=True, batch_size=self._number)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """Measure the cases of a batch; `loss`, `logits` (b, k, *s) and true ids `y` (b, *s)."""
        return self._evaluate("val", batch, batch_idx)

    def test_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """As `validation_step`, of the test set."""
        return self._evaluate("test", batch, batch_idx)

    def predict_step(self, batch: Any, batch_idx: int = 0) -> Tensor:
        """The masks (b, *s) of a batch, labelled or not, in the ids that labels have."""
        ids = self._predict(read_image(batch)).argmax(1)
        target = self.config.target_label
        return ids if target is None else ids * target

    def on_train_epoch_end(self) -> None:
        """Log the figures of the epoch's samples."""
        found = self._figures["train"].finish(self.class_names)
        del found["loss"]  # Lightning logs what was trained
        whole = {name: value for name, value in found.items() if "/" not in name}
        self._log("train", whole, logger=False)
        self._log("train", {f"{name}_epoch": value for name, value in whole.items()})
        self._log("train", {name: found[name] for name in found.keys() - whole.keys()})

    def on_validation_epoch_start(self) -> None:
        """Forget what a validation that broke off has left."""
        self._figures["val"] = EpochFigures()

    def on_validation_epoch_end(self) -> None:
        """Log the figures of the validation set."""
        self._log("val", self._figures["val"].finish(self.class_names), prog_bar=True)

    def on_test_epoch_end(self) -> None:
        """Log the figures of the test set."""
        self._log("test", self._figures["test"].finish(self.class_names))

    def configure_optimizers(self) -> Any:
        """The optimiser, and the scheduler that is asked once an epoch."""
        optimizer, scheduler = get_optimizer(self.config, self)
        if scheduler is None:
            return optimizer
        watched = {"scheduler": scheduler, "monitor": self.config.monitor_metric}
        return {"optimizer": optimizer, "lr_scheduler": watched}

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of the classes that are measured: their names, or else their ids."""
        target = self.config.target_label
        ids = range(1, self.config.num_classes) if target is None else (target,)
        known = dict(enumerate(self.config.class_names, 1))
        names = tuple(known.get(i, str(i)) for i in ids)
        return ("background", *names) if self.config.include_background else names

    @property
    def _is_run(self) -> bool:
        """Whether a Trainer runs this module, and not somebody who calls a step of it."""
        return self._trainer is not None and self._trainer.state.status is TrainerStatus.RUNNING

    @property
    def _classes(self) -> int:
        """Channels that are trained."""
        return self.config.num_classes if self.config.target_label is None else 2

    def _read(self, batch: Any) -> LabelledBatch:
        """The batch; with a target label, that structure is 1 and all others are background."""
        cases, target = read_batch(batch), self.config.target_label
        self._number = len(cases.image)
        if target is None:
            check_labels(cases.target, self.config.num_classes)
            return cases
        known = cases.target >= 0
        return replace(cases, target=torch.where(known, (cases.target == target).long(), -1))

    def _ask(self, images: Tensor) -> Output:
        config = self.config
        return answer(self.model, images, classes=config.num_classes, target=config.target_label)

    def _predict(self, images: Tensor) -> Tensor:
        """Logits of whole images."""
        return predict(
            lambda some: finest(self._ask(some)),
            images,
            channels=self._classes,
            patch=self.config.patch_size,
            batch=self.config.train_batch_size,
        )

    def _evaluate(self, stage: str, batch: Any, batch_idx: int) -> dict[str, Any]:
        cases = self._read(batch)
        logits = self._predict(cases.image)
        # Case by case: the mean over cases does not depend on the batches.
        pairs = zip(logits.split(1), cases.target.split(1), strict=True)
        losses = torch.stack([self.loss(one, truth) for one, truth in pairs]).detach()
        self._debug(stage, batch_idx, cases, Output(logits=logits), losses.mean())
        found = self._measure(cases, logits, boundaries=True)
        for case, agreement, loss in zip(cases.ids, found, losses.tolist(), strict=True):
            self._figures[stage].add(case, agreement, loss)
        return {"loss": losses.mean(), "logits": logits, "y": cases.target}

    def _measure(
        self, cases: LabelledBatch, logits: Tensor, *, boundaries: bool
    ) -> list[Agreement]:
        found = logits.detach().argmax(1).short().cpu().numpy()
        truth = cases.target.short().cpu().numpy()
        return [
            measure(
                found[i],
                truth[i],
                classes=self._classes,
                background=self.config.include_background,
                spacing=None if cases.spacing is None else cases.spacing[i],
                tolerance=self.config.tolerance_mm if boundaries else None,
            )
            for i in range(len(found))
        ]

    def _log(self, stage: str, figures: Mapping[str, Any], **how: Any) -> None:
        """Log figures of a stage; a step outside of a training tells nobody."""
        if self._is_run:
            how = {"on_epoch": True, "sync_dist": True, "batch_size": 1} | how
            self.log_dict({f"{stage}_{name}": v for name, v in figures.items()}, **how)

    def _debug(
        self, stage: str, number: int, cases: LabelledBatch, output: Output, loss: Tensor
    ) -> None:
        if self.config.debug and number < FIRST_BATCHES:
            describe_step(stage, number, cases, output, float(loss.detach()))


def _record(config: ModelTrainingConfig) -> dict[str, Any]:
    """What a checkpoint says of its training, and of how the scans were prepared."""
    record = {"config": plain(config)}
    # The weights of a checkpoint are its own: what they began with need not be there to read it.
    record["pretrain"] = record["config"]["model_params"].pop("pretrain", None)
    prepared = Path(config.data_dir) / SETTINGS
    if prepared.is_file():
        record["preprocessing"] = plain(read_settings(PreprocessingConfig, prepared))
    return record
