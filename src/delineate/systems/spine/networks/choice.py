"""Networks by the names and keys of an experiment.

A name is looked for in this order: a class or a file of one's own, the names of this table, the
networks of `delineate.models`; a dotted name is imported.

    UNET, AttentionUNET           the plain U-Net, without and with gates
    DUCKNet                       DUCK-Net
    STAMPUNet, ImproveSTAMPUNet   a U-Net that PruningCallback makes smaller
    MultiTaskUNET                 a mask, and whether there is any
    ResNet                        `size` 18, 34, 50 or 101
    EfficientVit_MSRA, RepVit, MobileNetV4    timm's, of a `size`

All of these return what is before any activation; see `activation`.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from delineate import models
from delineate.config import Part, build
from delineate.config.arguments import fit, parameters, wrong_arguments
from delineate.config.words import did_you_mean
from delineate.errors import ConfigError
from delineate.models.any_size import AnySize
from delineate.systems.spine.networks.activation import Form, choose_form
from delineate.systems.spine.networks.classifiers import CLASSIFIERS
from delineate.systems.spine.networks.own_networks import build_own
from delineate.systems.spine.networks.segmenters import SEGMENTERS, topology
from delineate.systems.spine.schema.bases import BaseModel
from delineate.systems.spine.schema.own_files import find_own, own_folders, own_names
from delineate.systems.spine.schema.settings import Experiment, Model

__all__ = ["KEPT", "NAMES", "Built", "build_network", "form_of"]

log = logging.getLogger("delineate")

Task = Literal["classification", "segmentation"]
NAMES = {**SEGMENTERS, **CLASSIFIERS}
KEPT = ("out_activation", "pretrained", "freeze")
"""Keys that are not a network's, but of what is done with it."""


DOCUMENTED = {
    *("features", "depth", "use_batch_norm", "use_xavier", "dropout", "size"),
    *("normalization", "interpolation", "use_multiplier"),
}
"""Keys that experiments of all networks carry, whether or not theirs takes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A network, and what becomes of its values inside of it."""

    network: nn.Module
    channels: int
    """How many values it has for a pixel or an image."""
    is_own: bool
    """Whether its values are to be taken as they are."""
    inner: str
    """The activation that it was told to end with: identity, sigmoid or softmax."""


def build_network(
    model: Model,
    *,
    task: Task,
    classes: int,
    seed: int,
    folder: Path | None = None,
    structure: Mapping[str, Any] | None = None,
) -> Built:
    """The network of an experiment, its first weights a function of the seed.

    Args:
        classes: Of the images; without effect on masks.
        folder: `directory.model`.
        structure: What is left of a STAMPUNet that has been pruned.
    """
    keys = dict(model.params)
    channels = _channels(model.name, keys, task, classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        own = _find(model.name, own_folders(folder, Path.cwd()))
        if own is not None:
            network, inner = build_own(own, keys, channels)
            return Built(network=network, channels=channels, is_own=True, inner=inner)
        keys = {name: value for name, value in keys.items() if name not in KEPT}
        network = _build(model.name, keys, channels, structure)
    network = AnySize(network, divisor) if (divisor := _divisor(network)) else network
    return Built(network=network, channels=channels, is_own=False, inner="identity")


def form_of(experiment: Experiment, built: Built) -> Form:
    """How the values of an experiment's network are to be read."""
    told = experiment.model.params.get("out_activation")
    return choose_form(
        out=None if built.inner != "identity" else told,
        last=experiment.model.last_activation,
        post=[step.name for step in experiment.data.postprocess],
        channels=built.channels,
        is_own=built.is_own,
        inner=built.inner,
    )


def _channels(name: str, keys: Mapping[str, Any], task: Task, classes: int) -> int:
    """What the network puts out: as the keys say, else one mask, or each class of the data."""
    said = {k: keys[k] for k in ("out_channels", "num_classes") if keys.get(k) is not None}
    if len(set(said.values())) > 1:
        raise ConfigError(f"model {name}: out_channels and num_classes differ: {said}.")
    count = next(iter(said.values()), classes if task == "classification" else 1)
    if not isinstance(count, int) or count < 1:
        raise ConfigError(f"model {name}: {said} wants a whole number of at least 1.")
    if task == "classification" and count < classes and not (count == 1 and classes == 2):
        raise ConfigError(
            f"model {name}: num_classes is {count}, but the data have {classes} classes. "
            f"Fix: num_classes: {classes}."
        )
    return count


def _find(name: str, folders: Sequence[Path]) -> Any | None:
    """A network of one's own; a name of ours by its import path is not one."""
    if name.startswith("delineate."):
        return None
    own = find_own(name, folders, BaseModel)
    known = [*NAMES, *_published()]
    if own is None and name not in known:
        files = own_names(folders)
        raise ConfigError(
            f"model.name '{name}' is unknown.{did_you_mean(name, [*known, *files])} There are: "
            f"{', '.join(known)}; files of your own: {', '.join(files) or 'none'}; any other is "
            "named in full: package.Network."
        )
    return own


def _published() -> list[str]:
    return sorted(set(models.__all__) - {"as_output", "inflate_2d", *NAMES})


def _build(
    name: str, keys: Mapping[str, Any], channels: int, structure: Mapping[str, Any] | None
) -> nn.Module:
    if name in NAMES:
        own = {k: v for k, v in keys.items() if v is not None or k == "normalization"}
        keys = {k: v for k, v in own.items() if k not in ("out_channels", "num_classes")}
        if "init_features" in keys:
            if "features" in keys:
                raise ConfigError(f"model {name}: features and init_features are one. Say one.")
            keys["features"] = keys.pop("init_features")
        supplied = {"out_channels": channels} | (
            {} if structure is None else {"structure": structure}
        )
        return _called(name, keys, supplied)
    own = {k: v for k, v in keys.items() if k not in ("out_channels", "num_classes", "in_channels")}
    try:
        return build(
            Part(name=name, **own),
            "delineate.models",
            in_channels=keys.get("in_channels", 1),
            out_channels=channels,
            spatial_dims=2,
            **topology(),
        )
    except ConfigError as error:
        raise ConfigError(f"model: {error}") from None


def _called(name: str, keys: Mapping[str, Any], supplied: Mapping[str, Any]) -> nn.Module:
    """One of the table, its keys compared with what it takes first."""
    maker = NAMES[name]
    keys = {k: tuple(v) if isinstance(v, list) else v for k, v in keys.items()}
    idle = sorted(keys.keys() & DOCUMENTED - parameters(maker).keys())
    if idle:
        log.warning("model %s: %s without effect on this network.", name, ", ".join(idle))
    keys = {k: v for k, v in keys.items() if k not in idle}
    wrong = [text for _, text in wrong_arguments(maker, keys, supplied)]
    if wrong:
        raise ConfigError("\n".join(f"model {name}: {text}" for text in wrong))
    given = {k: v for k, v in supplied.items() if k in parameters(maker)}
    try:
        return maker(**given, **fit(maker, keys))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"model {name} refuses its keys: {error}") from None


def _divisor(network: nn.Module) -> tuple[int, ...] | None:
    found = getattr(network, "divisor", None)
    return found if isinstance(found, tuple) else None
