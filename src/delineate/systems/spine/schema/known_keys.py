"""Keys that a file may hold beyond those of the settings, and what becomes of unknown ones.

A key that reads like a known one is a mistake; any other is told, and has no effect: files of the
origin may carry what its own programs ignored.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from delineate.config.places import Key, Mistake, Places, dotted, find_place, refuse
from delineate.systems.spine.schema.settings import (
    Data,
    Directory,
    Experiment,
    Loader,
    Rate,
    Source,
    Trainer,
)

__all__ = ["LIGHTNING", "known_only"]

log = logging.getLogger("delineate")

LIGHTNING = (
    "accelerator strategy devices num_nodes fast_dev_run max_steps min_epochs min_steps max_time "
    "limit_train_batches limit_val_batches limit_test_batches overfit_batches val_check_interval "
    "num_sanity_val_steps enable_progress_bar enable_model_summary gradient_clip_algorithm "
    "deterministic benchmark profiler detect_anomaly sync_batchnorm"
)
"""Arguments of Lightning's Trainer that stand among the keys of `trainer`."""
ALIKE = 0.8
"""From this likeness on (of difflib), a key is taken for a misspelt one."""


def known_only(data: Mapping[str, Any], places: Places) -> dict[str, Any]:
    """The sections without unknown keys; misspelt ones are a ConfigError, the rest a warning."""
    mistakes: list[Mistake] = []

    def kept(section: Any, known: Iterable[str], *way: str) -> Any:
        if not isinstance(section, Mapping):
            return section
        unknown = [key for key in section if key not in known]
        for key in unknown:
            mistakes.extend(_judged(key, section, list(known), way, places))
        return {key: value for key, value in section.items() if key not in unknown}

    found = kept(data, Experiment.model_fields)
    found["directory"] = kept(found.get("directory"), Directory.model_fields, "directory")
    slices = kept(found.get("data"), Data.model_fields, "data")
    if isinstance(slices, Mapping) and isinstance(slices.get("dataset"), Mapping):
        sources = {
            name: kept(source, Source.model_fields, "data", "dataset", str(name))
            for name, source in slices["dataset"].items()
        }
        slices = {**slices, "dataset": sources}
    trainer = kept(found.get("trainer"), Trainer.model_fields, "trainer")
    if isinstance(trainer, Mapping):
        inner = {
            "lr": kept(trainer.get("lr"), Rate.model_fields, "trainer", "lr"),
            "loader": kept(trainer.get("loader"), Loader.model_fields, "trainer", "loader"),
        }
        trainer = {**trainer, **inner}
    refuse(mistakes)
    return {**found, "data": slices, "trainer": trainer}


def _judged(
    key: Any, section: Mapping[Any, Any], known: list[str], way: tuple[str, ...], places: Places
) -> Iterator[Mistake]:
    whole: Key = (*way, key)
    place = find_place(whole, places)
    free = [name for name in known if name not in section]
    near = get_close_matches(str(key).lower(), free, n=1, cutoff=ALIKE)
    if near:
        text = f"unknown key '{dotted(whole)}'. Did you mean '{near[0]}'?"
        yield Mistake(whole, place, text)
        return
    log.warning(
        "%s: '%s' has no effect: there is no such key. There are: %s.",
        place,
        dotted(whole),
        ", ".join(known),
    )
