"""The callbacks that an experiment names: Lightning's by their names, and ours."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback
from lightning.pytorch import callbacks as published
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from delineate.config.arguments import wrong_arguments
from delineate.config.resolve import resolve
from delineate.config.words import did_you_mean
from delineate.errors import ConfigError
from delineate.systems.spine.learning.kept_checkpoints import KeptCheckpoints
from delineate.systems.spine.learning.pruning import PruningCallback
from delineate.systems.spine.learning.segmentation_sampler import SegmentationSampler
from delineate.systems.spine.schema.own_files import find_own, own_folders
from delineate.systems.spine.schema.settings import Experiment, Named

__all__ = ["build_callbacks"]

log = logging.getLogger("delineate")

OURS: dict[str, Callable[..., Callback]] = {
    "ModelCheckpoint": KeptCheckpoints,
    "PruningCallback": PruningCallback,
    "SegmentationSampler": SegmentationSampler,
}
ABSTRACT = ("Callback", "Checkpoint", "ProgressBar", "BasePredictionWriter", "LambdaCallback")
NAMES: dict[str, Callable[..., Callback]] = {
    **{
        name: getattr(published, name)
        for name in sorted(published.__all__)
        if name not in ABSTRACT and isinstance(getattr(published, name, None), type)
    },
    **OURS,
}


def build_callbacks(
    experiment: Experiment, run: Path, *, task: str, validated: bool
) -> list[Callback]:
    """The callbacks, their arguments checked; without a ModelCheckpoint the best by loss is kept.

    Args:
        run: The folder of this training.
        task: What is trained, masks or classes.
        validated: Whether there are slices to choose the best weights on.
    """
    found = [
        _build(named, experiment, run)
        for named in experiment.trainer.callbacks
        if _fits(named, task)
    ]
    for callback in found:
        monitor = getattr(callback, "monitor", None)
        if isinstance(monitor, str) and monitor.startswith("val_") and not validated:
            raise ConfigError(
                f"{type(callback).__name__}: monitor is {monitor}, but the data have no slices of "
                "the phase val. Fix: add some, or monitor: train_loss."
            )
    if not any(isinstance(callback, ModelCheckpoint) for callback in found):
        watched = {"monitor": "val_loss"} if validated else {"monitor": "train_loss"}
        usual = Named(name="ModelCheckpoint", params={**watched, "mode": "min"})
        found.append(_build(usual, experiment, run))
    return found


def _fits(named: Named, task: str) -> bool:
    if named.name == "SegmentationSampler" and task != "segmentation":
        log.warning("SegmentationSampler: there are no masks to show in a classification.")
        return False
    return True


def _build(named: Named, experiment: Experiment, run: Path) -> Callback:
    maker = _find(named.name, experiment)
    params = dict(named.params)
    given = {k: v for k, v in _supplied(maker, run).items() if k not in params}
    if isinstance(maker, type) and issubclass(maker, ModelCheckpoint):
        params = _of_checkpoints(params, run)
        known: Callable[..., Any] = ModelCheckpoint
    else:
        known = maker
    wrong = [text for _, text in wrong_arguments(known, params, given)]
    if wrong:
        raise ConfigError("\n".join(f"callback {named.name}: {text}" for text in wrong))
    try:
        made = maker(**given, **params)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"callback {named.name} refuses its params: {error}") from None
    except Exception as error:  # Lightning's own kind of mistake, and of others' callbacks
        raise ConfigError(f"callback {named.name}: {error}") from error
    return made


def _find(name: str, experiment: Experiment) -> Callable[..., Callback]:
    if name in NAMES:
        return NAMES[name]
    if "." in name:
        bare = name.rpartition(".")[2]
        if name.startswith(("pytorch_lightning.", "lightning.")) and bare in NAMES:
            return NAMES[bare]
        return resolve(name, "delineate")
    own = find_own(name, own_folders(experiment.directory.model, Path.cwd()), Callback)
    if own is None:
        raise ConfigError(
            f"callback '{name}' is unknown.{did_you_mean(name, NAMES)} There are: "
            f"{', '.join(NAMES)}; any other is named in full: package.Callback."
        )
    return own


def _supplied(maker: Any, run: Path) -> Mapping[str, Any]:
    if maker is SegmentationSampler:
        return {"folder": run / "samples"}
    if maker is KeptCheckpoints:
        return {"dirpath": run / "checkpoints"}
    if maker is EarlyStopping:
        return {"monitor": "val_loss"}
    return {}


def _of_checkpoints(params: dict[str, Any], run: Path) -> dict[str, Any]:
    """The name of the document where none is said; a folder of one's own lies below the run's."""
    params.setdefault("save_top_k", 1)
    monitor = params.setdefault("monitor", "val_loss")
    if monitor is not None:
        params.setdefault("filename", f"{{epoch:03d}}-{{{monitor}:.6f}}")
    if params.get("dirpath") is not None:
        params["dirpath"] = run / str(params["dirpath"])
    return params
