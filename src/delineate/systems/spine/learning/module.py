"""What one step does: the network, the loss, figures of whole data sets, a row for each slice."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from delineate.engine.transfer_report import Report
from delineate.errors import DataError
from delineate.models import STAMPUNet
from delineate.systems.spine.learning.agreement import both_sides, class_rows, gathered, mask_rows
from delineate.systems.spine.learning.epoch_figures import EpochFigures
from delineate.systems.spine.learning.loss_choice import Case, build_loss
from delineate.systems.spine.learning.rates import make_optimizer
from delineate.systems.spine.learning.slice_loss import SliceLoss
from delineate.systems.spine.networks.activation import ACTIVATIONS
from delineate.systems.spine.networks.beginning import begin_with, frozen_parts
from delineate.systems.spine.networks.choice import Built, Task, build_network, form_of
from delineate.systems.spine.networks.memory_saving import save_memory
from delineate.systems.spine.networks.values import as_channels, chosen, read_values
from delineate.systems.spine.samples.batch_steps import postprocess
from delineate.systems.spine.schema.entries import Phase
from delineate.systems.spine.schema.own_files import own_folders
from delineate.systems.spine.schema.settings import Experiment
from delineate.tracking.row_file import RowFile
from delineate.tracking.tracker import Tracker

__all__ = ["SliceModule"]

log = logging.getLogger("delineate")


class SliceModule(LightningModule):
    """A network of slices (b, c, h, w), for any Trainer.

    Args:
        task: Whether a slice has a mask or a class.
        classes: Names of the classes of slices; of masks it may be None.
        structure: What is left of a network that has been pruned.
        class_weight: What a class counts in the loss, where the experiment leaves it to the data.
    """

    def __init__(
        self,
        experiment: Experiment,
        task: Task,
        classes: Sequence[str] | None,
        *,
        structure: Mapping[str, Any] | None = None,
        class_weight: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.experiment = experiment
        self.task: Task = task
        self.classes = None if classes is None else tuple(classes)
        built = self._build(structure)
        self.network = built.network
        self.channels = built.channels
        self.form = form_of(experiment, built)
        case = Case(
            form=self.form,
            task=task,
            folder=experiment.directory.model,
            class_weight=class_weight,
        )
        self.loss = SliceLoss(build_loss(experiment.model.loss, case), experiment.model.name)
        self.figures = EpochFigures(experiment.metric, task, self.channels)
        self._frozen = frozen_parts(self.network, experiment.model)
        for name in self._frozen:
            self.network.get_submodule(name).requires_grad_(False)
        self.rows: dict[str, dict[str, Any]] = {}
        """By slice, what the last validation or test has measured."""

    def forward(self, images: Tensor) -> Tensor:
        """The network's values (b, k, h, w) or (b, k), as the loss gets them."""
        return self._read(images)[0][0]

    def predict(self, images: Tensor) -> Tensor:
        """Probabilities (b, k, h, w) or (b, k) of a batch of images."""
        return self.form.probabilities(self(images))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The loss of a batch."""
        values, presence = self._read(batch.image)
        truth = self._truth(batch)
        loss = self.loss(values, presence, truth)
        self._log({"train_loss": loss}, len(truth), prog_bar=True)
        self._log({"train_loss_step": loss}, len(truth), on_step=True, on_epoch=False)
        self._measure("train", self.form.probabilities(values[0].detach()), truth)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Measure a batch; `probabilities` of it."""
        return self._evaluate("val", batch)

    def test_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """As `validation_step`, of the test set."""
        return self._evaluate("test", batch)

    def on_train_epoch_start(self) -> None:
        """What is random in a network is a function of seed and epoch, as a resume wants."""
        seeds = (self.experiment.seed, self.current_epoch, self.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(seeds).generate_state(1, np.uint64)[0] >> 1))

    def on_validation_epoch_start(self) -> None:
        """Forget what an evaluation that broke off has left."""
        self._forget("val")

    def on_test_epoch_start(self) -> None:
        """As of the validation."""
        self._forget("test")

    def on_train_epoch_end(self) -> None:
        """Log the figures of the epoch's samples."""
        self._finish("train")

    def on_validation_epoch_end(self) -> None:
        """Log the figures of the validation set."""
        self.rows = gathered(self.rows)
        self._finish("val")

    def on_test_epoch_end(self) -> None:
        """Log the figures of the test set."""
        self.rows = gathered(self.rows)
        self._finish("test")

    def train(self, mode: bool = True) -> "SliceModule":
        """Frozen parts stay as they are, their running averages too."""
        super().train(mode)
        for name in self._frozen:
            self.network.get_submodule(name).train(False)
        return self

    def begin(self) -> Report | None:
        """Put the weights that `pretrained` names into the network."""
        experiment = self.experiment
        return begin_with(
            self.network,
            experiment.model,
            experiment.directory,
            channels=self.channels,
            beside=experiment.path.parent,
        )

    def configure_optimizers(self) -> Any:
        """The optimiser, and what becomes of its rate."""
        trained = [weight for weight in self.parameters() if weight.requires_grad]
        return make_optimizer(self.experiment.trainer, trained, self.trainer)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say what is needed to build this module again."""
        network = self.network
        checkpoint["spine"] = {
            "experiment": self.experiment.as_plain(),
            "task": self.task,
            "classes": None if self.classes is None else list(self.classes),
            "structure": network.structure() if isinstance(network, STAMPUNet) else None,
            "loggers": [
                logger.state_dict()
                for logger in self.trainer.loggers
                if isinstance(logger, Tracker | RowFile)
            ],
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the shape of a network that was pruned."""
        structure = checkpoint.get("spine", {}).get("structure")
        if isinstance(self.network, STAMPUNet) and structure != self.network.structure():
            self.network = self._build(structure).network.to(self.device)

    def _build(self, structure: Mapping[str, Any] | None) -> Built:
        experiment = self.experiment
        built = build_network(
            experiment.model,
            task=self.task,
            classes=len(self.classes or ()),
            seed=experiment.seed,
            folder=experiment.directory.model,
            structure=structure,
        )
        if experiment.trainer.gradient_checkpointing:
            save_memory(built.network)
        return built

    def _read(self, images: Tensor) -> tuple[list[Tensor], Tensor | None]:
        return read_values(self.network(images), images, self.task, self.experiment.model.name)

    def _truth(self, batch: Any) -> Tensor:
        """What the values are compared with: (b, k, h, w), or (b, k)."""
        label = batch.label
        if label is None:
            raise DataError("a batch without labels cannot be trained on or measured.")
        return as_channels(label, self.channels, self.task)

    def _evaluate(self, phase: Phase, batch: Any) -> dict[str, Tensor]:
        values, presence = self._read(batch.image)
        truth = self._truth(batch)
        loss = self.loss(values, presence, truth)
        self._log({f"{phase}_loss": loss}, len(truth), prog_bar=phase == "val")
        probabilities = self.form.probabilities(values[0])
        ids, true = self._measure(phase, probabilities, truth)
        if self.task == "segmentation":
            self.rows |= mask_rows(ids, true, batch.slices)
        else:
            shown = both_sides(probabilities)
            self.rows |= class_rows(shown, true, batch.slices, self.classes or ())
        return {"loss": loss, "probabilities": probabilities}

    def _measure(self, phase: Phase, probabilities: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Tell the figures of a phase about a batch; its ids, predicted and true."""
        steps = tuple(s for s in self.experiment.data.postprocess if s.name not in ACTIVATIONS)
        if steps:
            folders = own_folders(self.experiment.directory.model, Path.cwd())
            probabilities = postprocess(
                steps, phase, probabilities, activated=True, folders=folders
            )
        ids, true = chosen(probabilities), chosen(truth)
        self.figures.update(phase, probabilities, ids, truth)
        return ids, true

    def _finish(self, phase: str) -> None:
        """Log the figures of a phase, and begin anew."""
        for name, (value, on_bar) in self.figures.finish(phase, self.classes or ()).items():
            # Each process has computed it of all processes' slices.
            self._log({name: value}, 1, prog_bar=on_bar, sync_dist=False)

    def _log(self, figures: Mapping[str, Any], size: int, **how: Any) -> None:
        """Log; the last look at the validation set leaves the curves as they are."""
        if self._trainer is None:
            return
        last = self.trainer.state.fn is TrainerFn.VALIDATING
        how = {"on_epoch": True, "on_step": False, "sync_dist": True, "logger": not last} | how
        self.log_dict(dict(figures), batch_size=size, **how)

    def _forget(self, phase: str) -> None:
        self.rows = {}
        self.figures.forget(phase)
