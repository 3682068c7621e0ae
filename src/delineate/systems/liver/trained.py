"""A network from the checkpoint of a training: its weights, its settings, and how it saw scans.

A checkpoint is a pickle. It is walked through and nothing in it is executed, whoever wrote it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor, nn

from delineate.engine.foreign_weights import read_source
from delineate.engine.inert_pickle import Inert
from delineate.engine.torch_file import read_outline
from delineate.engine.weights import misfit
from delineate.errors import ConfigError, DataError
from delineate.inference import Windows
from delineate.io.paths import missing
from delineate.systems.checked import Checked
from delineate.systems.liver.answer import answer, finest, slice_axis
from delineate.systems.liver.networks import network_of
from delineate.systems.liver.settings import (
    ModelPredictionConfig,
    ModelTrainingConfig,
    PreprocessingConfig,
    read_settings,
)
from delineate.systems.liver.subjects import SETTINGS

__all__ = ["TrainedNetwork", "load_trained"]

PREFIX = "model."
"""What the module calls its network."""
PRETRAIN = "pretrain"
ARCHITECTURE = ("model_name", "model_params", "input_channels", "num_classes", "target_label")
"""Keys of a prediction that the checkpoint knows as well."""
S = TypeVar("S", bound=Checked)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedNetwork:
    """What predicts."""

    network: nn.Module
    """In evaluation mode."""
    settings: ModelTrainingConfig
    preprocessing: PreprocessingConfig | None
    """How its training scans were prepared; None where that is not known."""
    checksum: str
    """Of the checkpoint."""

    @property
    def ids(self) -> tuple[int, ...]:
        """What each channel of `ask` is in a mask."""
        target = self.settings.target_label
        return tuple(range(self.settings.num_classes)) if target is None else (0, target)

    def ask(self, images: Tensor) -> Tensor:
        """Logits (b, k, *s), one for each of `ids`."""
        known = self.settings
        return finest(
            answer(self.network, images, classes=known.num_classes, target=known.target_label)
        )

    def windows(self, shape: tuple[int, ...], *, batch: int) -> Windows:
        """How an image is looked at: whole, where it is no larger than a sample of the training."""
        patch = self.settings.patch_size
        axis = slice_axis(patch)
        if patch is None or (
            axis is None and all(n <= p for n, p in zip(shape, patch, strict=True))
        ):
            return Windows(patch=shape)
        return Windows(patch=tuple(patch), batch=batch, slice_axis=axis)


def load_trained(config: ModelPredictionConfig) -> TrainedNetwork:
    """The network of `config.checkpoint_path` on the CPU; anything that cannot be is a DataError.

    What the prediction's settings say of the network goes over what the checkpoint says, where it
    is not merely their default.
    """
    path = Path(config.checkpoint_path)
    if not path.is_file():
        raise missing(str(path))
    hyper = _hyper_parameters(path)
    said = {name: getattr(config, name) for name in ARCHITECTURE}
    known = _plain(hyper.get("config", hyper))
    if known:
        said = {name: value for name, value in said.items() if value != _default(name)}
    settings = _settings(ModelTrainingConfig, known | said, path)
    # What the training began with is in the weights.
    settings.model_params = {k: v for k, v in settings.model_params.items() if k != PRETRAIN}
    network = network_of(settings)
    _load(network, path, settings)
    return TrainedNetwork(
        network=network.eval(),
        settings=settings,
        preprocessing=_preprocessing(hyper, settings, path),
        checksum=hashlib.sha256(path.read_bytes()).hexdigest(),
    )


def _hyper_parameters(path: Path) -> dict[str, Any]:
    content = read_outline(path)
    found = content.get("hyper_parameters") if isinstance(content, dict) else None
    return _plain(found)


def _plain(value: Any) -> dict[str, Any]:
    """The entries of a dict, or of an object that a pickle describes."""
    if isinstance(value, Inert):
        value = value.items or value.state
    return {str(k): v for k, v in value.items()} if isinstance(value, Mapping) else {}


def _default(name: str) -> Any:
    (field,) = (f for f in fields(ModelPredictionConfig) if f.name == name)
    return field.default if field.default_factory is MISSING else field.default_factory()


def _settings(cls: type[S], values: Mapping[str, Any], path: Path) -> S:
    """The keys that the class has: other versions and programs may have written more."""
    known = vars(cls)["__dataclass_fields__"]
    try:
        return cls(**{name: value for name, value in values.items() if name in known})
    except ConfigError as error:
        raise DataError(f"{path}: {error}") from None


def _load(network: nn.Module, path: Path, settings: ModelTrainingConfig) -> None:
    state = read_source(path).state
    inner = {n.removeprefix(PREFIX): v for n, v in state.items() if n.startswith(PREFIX)}
    # The weights of the bare network are welcome, too.
    own = inner if inner and misfit(network, state) else state
    if wrong := misfit(network, own):
        raise DataError(
            f"{path}: the weights do not fit {settings.model_name} with {settings.num_classes} "
            f"classes and the parameters {settings.model_params}: {wrong}. Fix: give model_name, "
            "model_params and num_classes of the training."
        )
    network.load_state_dict(own)


def _preprocessing(
    hyper: Mapping[str, Any], settings: ModelTrainingConfig, path: Path
) -> PreprocessingConfig | None:
    """From the checkpoint, or else from the preprocessed tree that it was trained on."""
    if known := _plain(hyper.get("preprocessing")):
        return _settings(PreprocessingConfig, known, path)
    beside = Path(settings.data_dir) / SETTINGS
    return read_settings(PreprocessingConfig, beside) if beside.is_file() else None
