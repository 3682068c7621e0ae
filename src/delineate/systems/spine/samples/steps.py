"""The steps of `preprocess` and `batch_preprocess`, built from their names for one phase."""

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from delineate.config.words import did_you_mean
from delineate.errors import ConfigError
from delineate.systems.spine.samples.albumentations_steps import build_albumentations
from delineate.systems.spine.samples.named_steps import DEFAULTS, NAMES, Entry, Setting
from delineate.systems.spine.samples.own_steps import own_step, own_work
from delineate.systems.spine.samples.torchvision_steps import STEPS as TORCHVISION
from delineate.systems.spine.samples.torchvision_steps import build_torchvision
from delineate.systems.spine.schema.bases import BasePreprocess
from delineate.systems.spine.schema.entries import Step
from delineate.systems.spine.schema.own_files import find_own, own_names
from delineate.systems.spine.slices.sample import Work

__all__ = ["NAMES", "Setting", "build_steps", "find_step"]

log = logging.getLogger("delineate")


def build_steps(
    steps: Sequence[Step],
    setting: Setting,
    *,
    where: str = "data.preprocess",
    remarks: bool = True,
) -> tuple[Work, ...]:
    """The steps of one phase in their order; a step that makes no sense there is a ConfigError.

    Args:
        steps: As in the file.
        setting: What they are built for.
        where: What messages call the list.
        remarks: Whether what is hardly meant is warned of.
    """
    works = []
    for place, step in enumerate(steps):
        if setting.phase not in step.phase:
            continue
        target = step.target or DEFAULTS.get(step.name, ("data", "label"))
        entry = Entry(step=step, target=target, setting=setting, where=f"{where}.{place}")
        work = _build(entry)
        if remarks:
            _remark(entry, work)
        facts = {"name": step.name, "params": step.params, "target": target}
        works.append(replace(work, key=json.dumps(facts, sort_keys=True, default=str)))
    _check_masks(works, setting, where)
    return tuple(works)


def find_step(name: str, folders: Sequence[Path], *, where: str) -> Any:
    """A class of one's own; a name that nobody has is a ConfigError with all that exist."""
    found = find_own(name, folders, BasePreprocess)
    if found is not None:
        return found
    own = own_names(folders)
    listed = ", ".join((*sorted(NAMES), *(f"tv.{t}" for t in sorted(TORCHVISION))))
    files = f"; files of your own: {', '.join(own)}" if own else ""
    raise ConfigError(
        f"{where}: the step '{name}' is unknown.{did_you_mean(name, (*NAMES, *own))} There are: "
        f"{listed}, every transform of albumentations as alb.NAME{files}; and any class by its "
        "import path."
    )


def _build(entry: Entry) -> Work:
    name, where = entry.step.name, f"{entry.where} ({entry.step.name})"
    if name in NAMES:
        try:
            return NAMES[name](entry)
        except ConfigError as error:
            text = str(error)
            raise ConfigError(text if text.startswith("data.") else f"{where}: {text}") from None
    library, _, rest = name.partition(".")
    if library in ("alb", "albumentations", "A") and rest:
        return build_albumentations(rest, entry.step.params, entry.target, where=entry.where)
    if library in ("tv", "torchvision") and rest:
        return build_torchvision(rest, entry.step.params, entry.target, where=entry.where)
    kind = find_step(name, entry.setting.folders, where=entry.where)
    return own_work(own_step(kind, entry.step.params, where=where), entry.target, where=where)


def _remark(entry: Entry, work: Work) -> None:
    """Warn of what is hardly meant."""
    name, setting = entry.step.name, entry.setting
    if name == "lesion_aug" and setting.phase != "train" and not work.drawn:
        log.warning(
            "%s: lesion_aug draws no lesions in %s, where the masks of the files count as they "
            "are. Say evaluation: true in its params to be judged by drawn ones.",
            entry.where,
            setting.phase,
        )
    if work.moves and setting.task == "segmentation" and "label" not in entry.target:
        log.warning(
            "%s: %s moves the picture but not its mask. Fix: target: [data, label].",
            entry.where,
            name,
        )
    if work.drawn and setting.phase != "train" and name != "lesion_aug":
        log.warning(
            "%s: %s is drawn in %s too, the same in every epoch. Fix: phase: [train], if it is "
            "there to vary the training.",
            entry.where,
            name,
            setting.phase,
        )


def _check_masks(works: Sequence[Work], setting: Setting, where: str) -> None:
    loads = any(work.name == "load_segmentation_label" for work in works)
    if where == "data.preprocess" and setting.task == "segmentation" and not loads:
        raise ConfigError(
            f"{where}: no step reads the masks in {setting.phase}. Fix: begin with "
            "{name: load_segmentation_label, target: [label], phase: [train, val, test]}."
        )
