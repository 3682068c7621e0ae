"""From a checkpoint to a network that can be asked of pictures."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from torch import Tensor

from delineate.systems.spine.learning.checkpoint import load_trained
from delineate.systems.spine.learning.module import ACTIVATIONS
from delineate.systems.spine.prediction.answers import Answerer
from delineate.systems.spine.prediction.prepared_image import prepare_image
from delineate.systems.spine.samples.batch_steps import postprocess
from delineate.systems.spine.schema.own_files import own_folders
from delineate.systems.spine.schema.settings import Experiment

__all__ = ["open_answerer"]


def open_answerer(path: Path, *, device: str, batch: int) -> Answerer:
    """A checkpoint of a training, ready to be asked.

    Args:
        path: What `ml_framework train` wrote.
        device: As PyTorch calls it.
        batch: Slices that go through the network together.
    """
    trained = load_trained(path)
    trained.module.to(device).eval()
    return Answerer(
        trained=trained,
        prepare=partial(prepare_image, trained.experiment),
        finish=_finish(trained.experiment),
        device=device,
        batch=batch,
    )


def _finish(experiment: Experiment) -> Callable[[Tensor], Tensor]:
    """The steps of `postprocess` besides the activation, which `predict` has done."""
    steps = tuple(step for step in experiment.data.postprocess if step.name not in ACTIVATIONS)
    folders = own_folders(experiment.directory.model, Path.cwd())

    def finish(probabilities: Tensor) -> Tensor:
        return postprocess(steps, "test", probabilities, activated=True, folders=folders)

    return finish
