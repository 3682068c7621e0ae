"""An experiment from its YAML file and the files that it includes."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from delineate.config.faults import validated
from delineate.config.overrides import COMMAND_LINE
from delineate.config.places import find_place
from delineate.errors import ConfigError
from delineate.systems.spine.schema.folders import with_folders
from delineate.systems.spine.schema.known_keys import LIGHTNING, known_only
from delineate.systems.spine.schema.settings import Experiment
from delineate.systems.spine.schema.shipped import find_dataset
from delineate.systems.spine.schema.yaml_file import (
    Document,
    include,
    is_windows_path,
    read_document,
)

__all__ = ["read_experiment"]

log = logging.getLogger("delineate")

IN_DATA = ("dataset", "preprocess", "batch_preprocess", "postprocess")
"""What may stand at the top of a file, as in a file of the folder `dataset`."""


def read_experiment(
    path: str | Path,
    *,
    dataset: str | Path | None = None,
    directory: str | Path | None = None,
    directories: Mapping[str, str] = MappingProxyType({}),
) -> Experiment:
    """What a YAML file asks for; what is wrong is a ConfigError that says where.

    Args:
        dataset: A file of sources and steps, or its name, instead of those of the experiment.
        directory: A file of folders, taken instead of the section `directory`.
        directories: Folders by key (log, weights, data, model), over what any file says.
    """
    path = Path(path)
    document = read_document(path)
    if not isinstance(document.data, Mapping):
        raise ConfigError(f"{path}: wants sections such as model and data.")
    if dataset is not None:
        document = _replaced(document, "data", find_dataset(dataset, path))
    if directory is not None:
        if not Path(directory).is_file():
            raise ConfigError(f"--directory {directory}: no such file.")
        document = _replaced(document, "directory", Path(directory))
    document = with_folders(document, directories)
    for key in document.data:
        document = include(document, key)
    document = _moved(_moved(document, IN_DATA, "data"), ("callbacks",), "trainer")
    sections = known_only(_lightning_aside(document.data), document.places)
    sections = _without_windows(sections, document)
    record = sections.pop("path", None)  # of config.yaml, which a run leaves
    name = Path(record).stem if isinstance(record, str) else path.stem
    if sections.get("experiment_name") not in (None, name):
        log.warning("%s: experiment_name is that of the file, %s.", path, name)
    names = {"experiment_name": name, "path": record or str(path.absolute())}
    said = {"project_name": "ml_framework"} | sections | names
    return validated(Experiment, said, document.places)


def _replaced(document: Document, key: str, file: Path) -> Document:
    """The document with a file of the command line in the place of a section."""
    gone = (key, *IN_DATA) if key == "data" else (key,)
    data = {name: said for name, said in document.data.items() if name not in gone}
    places = {where: place for where, place in document.places.items() if where[:1] != (key,)}
    return Document(
        {**data, key: str(file.absolute())}, {**places, (key,): COMMAND_LINE}, document.path
    )


def _moved(document: Document, keys: tuple[str, ...], into: str) -> Document:
    """The document with some keys of its top in a section; callbacks of both places are joined."""
    found = {key: document.data[key] for key in keys if key in document.data}
    section = document.data.get(into) or {}
    if not found or not isinstance(section, Mapping):
        return document
    for key in found.keys() & section.keys():
        if not (isinstance(found[key], list) and isinstance(section[key], list)):
            raise ConfigError(
                f"{find_place((key,), document.places)}: '{key}' stands here and in {into}. "
                "Fix: keep one."
            )
        found[key] = [*section[key], *found[key]]
    data = {key: said for key, said in document.data.items() if key not in found}
    places = {
        (into, *where): place
        for where, place in document.places.items()
        if where[:1] in {(key,) for key in found}
    }
    return Document({**data, into: {**section, **found}}, document.places | places, document.path)


def _lightning_aside(data: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of Lightning's Trainer that stand among the keys of `trainer` go into params."""
    trainer = data.get("trainer")
    if not isinstance(trainer, Mapping) or not isinstance(trainer.get("params") or {}, Mapping):
        return dict(data)
    aside = {key: said for key, said in trainer.items() if key in LIGHTNING.split()}
    kept = {key: said for key, said in trainer.items() if key not in aside}
    return {**data, "trainer": {**kept, "params": {**(trainer.get("params") or {}), **aside}}}


def _without_windows(sections: dict[str, Any], document: Document) -> dict[str, Any]:
    """Weights on a drive of Windows are told and left out, elsewhere than on Windows."""
    model = sections.get("model")
    if os.name == "nt" or not isinstance(model, Mapping):
        return sections
    nested = model.get("params")
    flat = {**nested, **model} if isinstance(nested, Mapping) else model
    skipped = {
        key: said
        for key, said in flat.items()
        if key in ("pretrained", "resume_ckpt") and is_windows_path(said)
    }
    for key, said in skipped.items():
        place = find_place(("model", key), document.places)
        log.warning(
            "%s: model.%s is a path of Windows, %s: no weights are loaded.", place, key, said
        )
    return {**sections, "model": {**flat, **dict.fromkeys(skipped)}}
