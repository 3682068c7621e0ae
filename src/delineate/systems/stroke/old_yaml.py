"""Configurations from YAML, the origin's among them: tuples and numbers of numpy become plain.

A tag that names a Python object is read for what it is known to hold, or refused; nothing that a
file names is imported or called.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from delineate.config.text_file import read_text
from delineate.config.words import did_you_mean
from delineate.config.yaml_text import TRAP, Loader
from delineate.errors import ConfigError

__all__ = ["read_config"]

log = logging.getLogger("delineate")

KNOWN = {
    "model": "input_shape base_filters depth use_attention use_transformer transformer_depth "
    "num_heads use_deep_supervision dropout num_classes memory_efficient",
    "training": "epochs batch_size batch_size_per_gpu global_batch_size learning_rate lr_schedule "
    "patience validation_split augmentation_prob mixed_precision gradient_checkpointing "
    "use_tensorboard seed",
    "loss": "dice_weight focal_weight boundary_weight focal_gamma focal_alpha",
    "augmentation": "spatial_prob intensity_prob noise_prob elastic_prob rotation_range "
    "scale_range translation_range elastic_deformation brightness contrast gamma noise_std",
    "data": "data_dir cache_dir num_workers prefetch group voxel_size",
    "hardware": "use_mixed_precision gradient_checkpointing use_multi_gpu gpu_memory_limit "
    "num_workers prefetch_factor device",
}
"""The documented keys of each section."""
FREE = ("stages", "meta")
"""Sections with keys of their own."""
TAG = "tag:yaml.org,2002:python/"
SCALAR = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
NUMBER = re.compile(r"[biuf]\d{1,2}")
MEANS_TRUE = ("yes", "on")


def read_config(path: str | Path) -> dict[str, Any]:
    """The plain dicts, lists, numbers and texts of a file; unknown keys are kept, and told.

    What is not YAML, or names a Python object other than a tuple or a number, is a ConfigError.
    """
    path = Path(path)
    text = read_text(path)
    try:
        config = _read(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = "" if mark is None else f"{mark.line + 1}:"
        raise ConfigError(f"{path}:{line} {error.problem or 'not YAML'}.") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {str(error).splitlines()[0]}.") from None
    if not isinstance(config, dict):
        raise ConfigError(f"{path}: wants sections such as model and training, got {config!r:.60}.")
    unknown = _unknown(config)
    if unknown:
        log.warning("%s: kept, but of no known meaning: %s", path, ", ".join(unknown))
    return config


def _read(text: str) -> Any:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        # All at once, so that what holds itself is found and refused.
        return None if node is None else loader.construct_object(node, deep=True)
    finally:
        loader.dispose()


def _unknown(config: Mapping[str, Any]) -> list[str]:
    """Each key that no documented one is called, with what may have been meant."""
    found = []
    for section, values in config.items():
        if section in FREE:
            continue
        if section not in KNOWN:
            found.append(f"{section}{did_you_mean(section, [*KNOWN, *FREE])}")
        elif isinstance(values, Mapping):
            keys = KNOWN[section].split()
            unknown = [key for key in values if key not in keys]
            found += [f"{section}.{key}{did_you_mean(str(key), keys)}" for key in unknown]
    return found


class _Loader(Loader):
    """A safe loader that knows what the origin's writer made of tuples and numbers."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key that stands twice."""
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"'{key.value}' stands twice", problem_mark=key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _sequence(loader: yaml.SafeLoader, node: yaml.Node) -> list[Any]:
    if not isinstance(node, yaml.SequenceNode):
        raise _refusal(node)
    return loader.construct_sequence(node, deep=True)


def _text_of(loader: yaml.SafeLoader, node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise _refusal(node)
    return str(loader.construct_scalar(node))


def _truth(loader: yaml.SafeLoader, node: yaml.Node) -> bool:
    """A bare yes or no, as the origin's reader takes it."""
    return _text_of(loader, node).lower() in MEANS_TRUE


def _type(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    """A type of numbers; its state tells the order of bytes."""
    import numpy as np

    if not isinstance(node, yaml.MappingNode):
        raise _refusal(node)
    said = loader.construct_mapping(node, deep=True)
    names, state = said.get("args"), said.get("state")
    name = names[0] if isinstance(names, list) and names else None
    if not (isinstance(name, str) and NUMBER.fullmatch(name)):
        raise _refusal(node)
    order = state[1] if isinstance(state, list) and len(state) > 1 else "="
    return np.dtype(name).newbyteorder(order if order in ("<", ">") else "=")


def _number(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    """The number whose bytes follow its type."""
    import numpy as np

    kind, raw, *rest = [*_sequence(loader, node), None, None]
    raw = raw.encode("latin1") if isinstance(raw, str) else raw
    plain = isinstance(kind, np.dtype) and isinstance(raw, bytes) and len(raw) == kind.itemsize
    if not plain or any(part is not None for part in rest):
        raise _refusal(node)
    return np.frombuffer(raw, kind)[0].item()


def _refuse(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> Any:
    raise _refusal(node)


def _refusal(node: yaml.Node) -> yaml.MarkedYAMLError:
    what = node.tag.removeprefix(TAG)
    return yaml.MarkedYAMLError(
        problem=f"the tag '{what}' names what is neither a tuple nor a number, and is not made. "
        "Fix: write the value",
        problem_mark=node.start_mark,
    )


_Loader.add_constructor(TRAP, _truth)
_Loader.add_constructor(f"{TAG}tuple", _sequence)
for _name in ("str", "unicode"):
    _Loader.add_constructor(TAG + _name, _text_of)
for _name in SCALAR:
    _Loader.add_constructor(f"{TAG}object/apply:{_name}", _number)
_Loader.add_constructor(f"{TAG}object/apply:numpy.dtype", _type)
_Loader.add_multi_constructor("", _refuse)
