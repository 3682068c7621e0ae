"""Segment a scan with a trained model: the whole volume, borders too, in the ids of the atlas."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge
from pydantic import BeforeValidator

from delineate.config.kinds import Count, Positive, Switch
from delineate.config.words import Words
from delineate.engine.hardware import choose_device
from delineate.errors import ConfigError, DataError
from delineate.inference import Extras, Model, Outputs, predict_volume
from delineate.inference.predict import Prediction
from delineate.io import Grid, Volume, read_volume
from delineate.io.orient import on_source_axes
from delineate.io.paths import stem
from delineate.systems.brainstem.checkpoints import BEST
from delineate.systems.brainstem.morphogen import CHANNELS
from delineate.systems.brainstem.settings import Size
from delineate.systems.brainstem.trained import PACKAGE, open_trained
from delineate.systems.brainstem.volumes import add_gradients
from delineate.systems.checked import Checked, PathText

__all__ = ["InferenceConfig", "auto_segment_brainstem"]

MODELS = "data/models/brainstem_segmentation"
"""Where the documented training puts its models."""


def _cube(value: Any) -> Any:
    return (value,) * 3 if isinstance(value, int) and not isinstance(value, bool) else value


@dataclass(kw_only=True)
class InferenceConfig(Checked):
    """How a scan is segmented; what does not fit is a ConfigError that says so."""

    model_path: PathText = f"{MODELS}/{BEST}"
    """best_model.pth or brainstem_model.zip of a training, or a run of the recipe `brainstem`."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    patch_size: Annotated[Size, BeforeValidator(_cube)] | None = None
    """Voxels of a window, one number or three; None is that of the training, 64 as documented."""
    stride: Annotated[Count, Ge(1)] | None = None
    """Voxels from one window to the next, at most; None is half a window."""
    batch_size: Count = 4
    """Windows that go through the network together."""
    max_memory_gb: Positive = 8.0
    """What the process may hold while windows are predicted."""
    save_intermediates: Annotated[Switch, Words("True or False")] = False
    """Whether the probabilities of all classes are written into output_dir, too."""
    output_dir: PathText | None = None
    """Where the mask is written as NIfTI; None writes nothing."""

    def conflicts(self) -> Iterator[str]:
        """What of these does not go together."""
        if self.patch_size and self.stride and self.stride > min(self.patch_size):
            yield (
                f"stride is {self.stride} but a window has {min(self.patch_size)} voxels, so "
                "some would never be looked at. Fix: a stride of at most that."
            )
        if self.save_intermediates and self.output_dir is None:
            yield "save_intermediates wants an output_dir. Fix: say where they go."


def auto_segment_brainstem(
    volume: str | Path | np.ndarray | torch.Tensor,
    config: InferenceConfig | None = None,
    *,
    model_path: str | Path | None = None,
    name: str | None = None,
) -> np.ndarray:
    """The label of every voxel, in the ids of the schema, 0 is background; as large as the volume.

    Without a trained model it is a DataError: nothing is ever guessed from intensities.

    Args:
        volume: a file of any kind that is read, whose mask has the file's own axes; or an array
            (i, j, k) or (c, i, j, k) with voxels as large as in the training, on axes that run
            from left to right, back to front and bottom to top.
        config: None takes the defaults.
        model_path: in place of the one in `config`.
        name: what the files in `output_dir` are called; None calls them as the scan's file, or
            brainstem.
    """
    config = InferenceConfig() if config is None else config
    if not isinstance(config, InferenceConfig):
        raise ConfigError(f"config is a {type(config).__name__}. Fix: an InferenceConfig.")
    config.check()
    model = _as_wished(_open(config.model_path if model_path is None else model_path), config)
    if isinstance(volume, str | Path):
        scan, called = read_volume(str(volume)), stem(str(volume))
    else:
        scan, called = _as_volume(volume, model), "brainstem"
    if model.channels[-len(CHANNELS) :] == CHANNELS:
        scan = add_gradients(scan)
    found = predict_volume(
        model,
        scan,
        memory_gb=config.max_memory_gb,
        device=choose_device(config.device),
        extras=Extras(probabilities=config.save_intermediates),
    )
    if config.output_dir is not None:
        _write(found, model, config, name or called)
    return np.ascontiguousarray(on_source_axes(found.mask.array, found.mask)[0]).astype(np.int32)


def _open(path: str | Path) -> Model:
    place = Path(path).expanduser()
    if not place.exists():
        raise DataError(
            f"{place}: no trained model is there. Fix: train one with BrainstemTrainer, and give "
            f"its {BEST} or {PACKAGE} as model_path."
        )
    return open_trained(place)


def _as_wished(model: Model, config: InferenceConfig) -> Model:
    """The model with windows as they are asked for."""
    patch = config.patch_size or model.plan.patch
    overlap = model.overlap
    if config.stride is not None:
        if config.stride > min(patch):
            raise ConfigError(
                f"InferenceConfig: stride is {config.stride} but a window of this model has "
                f"{min(patch)} voxels. Fix: a stride of at most that."
            )
        overlap = 1 - config.stride / min(patch)
    plan = replace(model.plan, patch=tuple(patch), batch_size=config.batch_size)
    return replace(model, plan=plan, overlap=overlap)


def _as_volume(volume: Any, model: Model) -> Volume:
    if isinstance(volume, torch.Tensor):
        volume = volume.detach().cpu().numpy()
    array = np.asarray(volume)
    if array.dtype.kind not in "fiub" or array.ndim not in (3, 4) or not array.size:
        raise DataError(
            f"the volume is {array.dtype} of shape {array.shape}. "
            "Fix: numbers of shape (i, j, k) or (c, i, j, k), or the path of a file."
        )
    array = array[None] if array.ndim == 3 else array
    affine = np.diag([*model.plan.spacing, 1.0])
    return Volume(array=array, affine=affine, source=Grid(shape=array.shape[1:], affine=affine))


def _write(found: Prediction, model: Model, config: InferenceConfig, name: str) -> None:
    """`<name>.nii.gz`, and `probabilities/<name>.nii`; older ones are replaced."""
    assert config.output_dir is not None
    outputs = Outputs(probabilities=config.save_intermediates)
    places = outputs.places(Path(config.output_dir), name, f"{name}.nii.gz", model)
    for path in (places.mask, *places.probabilities):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
    places.write(found, model.labels, f"{name}.nii.gz")
