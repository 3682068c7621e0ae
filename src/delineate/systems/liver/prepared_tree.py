"""A raw data set as the preprocessed tree: images and labels by split, and how they came about.

```
<out>/{train,val,test}/<id>_image.nii.gz, <id>_label.nii.gz
<out>/native/<id>_label.nii.gz       the truth on the scan's own grid
<out>/preprocessing_config.json      the settings
<out>/preprocessing_metadata.json    every subject: split, grids, normalisation
<out>/preprocessing_summary.txt      the same for people, and what failed
```
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from errno import EDQUOT, ENOSPC
from pathlib import Path
from threading import Lock
from types import MappingProxyType

import numpy as np

from delineate.data.every_case import Progress, for_every_case
from delineate.datasets.shares import deal
from delineate.errors import ConfigError, DataError, DelineateError
from delineate.io import atomic_path, write_image, write_mask
from delineate.systems.liver.preprocessing import prepare_mask, prepare_volume
from delineate.systems.liver.raw_trees import RawSubject, find_subjects, read_subject
from delineate.systems.liver.settings import PreprocessingConfig, plain, read_settings
from delineate.systems.liver.subjects import (
    NATIVE,
    SETTINGS,
    SPLITS,
    Subject,
    read_metadata,
    read_splits,
    write_metadata,
)
from delineate.systems.liver.summary import SUMMARY, summarise

__all__ = ["Prepared", "deal_patients", "prepare_tree"]

_FREE_TO_CHANGE = (
    "apply_augmentation",
    "rotation_degrees",
    "translation_range",
    "elastic_deformation",
    "num_workers",
    "batch_size",
)
"""Settings that the files do not depend on."""
_NOBODY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What became of a raw data set."""

    subjects: Mapping[str, Subject]
    """Everything that is in the tree."""
    failures: Mapping[str, str]
    """By subject, why it is not."""


def prepare_tree(
    root: Path,
    kind: str,
    out: Path,
    settings: PreprocessingConfig,
    *,
    phase: str | None = None,
    progress: Progress | None = None,
) -> Prepared:
    """Prepare every subject that is not there yet; those that fail are returned, the rest is done.

    A rerun does what is missing. The split of a patient never changes, whoever has come since.

    Args:
        root: The folder of the raw data set.
        kind: Its type, as `find_subjects` knows it.
        out: The tree; one that other settings have made is a ConfigError.
        settings: What is done, and by how many workers.
        phase: See `find_subjects`.
        progress: Wraps the subjects as they are finished.
    """
    settings.check()
    subjects = find_subjects(root, kind, phase=phase)
    _claim(out, settings)
    known = read_splits(out)
    new = [p for p in dict.fromkeys(s.patient for s in subjects) if p not in known]
    work = _Work(root, out, settings, {**known, **deal_patients(new, settings, known)})
    todo = {s.id: s for s in subjects if not work.holds(s)}
    work.note()
    for_every_case(
        list(todo),
        lambda name: work.make(todo[name]),
        {s.id: work.image(s) for s in subjects},
        workers=max(1, settings.num_workers),
        progress=progress,
        what="preprocess",
    )
    made = Prepared(subjects=work.done, failures=dict(sorted(work.failures.items())))
    with atomic_path(out / SUMMARY) as part:
        part.write_text(summarise(made.subjects, made.failures, settings), encoding="utf-8")
    return made


def deal_patients(
    patients: Sequence[str], settings: PreprocessingConfig, known: Mapping[str, str] = _NOBODY
) -> dict[str, str]:
    """The split of each patient, drawn by the seed; with those that are known, as the ratios say.

    Where there are few, every split with a ratio above 0 has one all the same.
    """
    ratios = (settings.train_ratio, settings.val_ratio, settings.test_ratio)
    shares = {name: share for name, share in zip(SPLITS, ratios, strict=True) if share > 0}
    dealt = deal(len(known) + len(patients), shares)
    for name in shares:
        if name not in dealt and len(dealt) >= len(shares):
            dealt[dealt.index(max(shares, key=dealt.count))] = name
    for split in known.values():
        if split in dealt:
            dealt.remove(split)
    order = np.random.default_rng(settings.seed).permutation(len(patients))
    # Where those that are known have more than their share, splits are left over.
    return {patients[int(place)]: split for place, split in zip(order, dealt, strict=False)}


class _Work:
    """What the workers share: where things go, and what has been done."""

    def __init__(
        self,
        root: Path,
        out: Path,
        settings: PreprocessingConfig,
        splits: Mapping[str, str],
    ) -> None:
        self._root, self._out, self._settings, self._splits = root, out, settings, splits
        self._lock = Lock()
        self.done = read_metadata(out)
        self.failures: dict[str, str] = {}

    def image(self, subject: RawSubject) -> Path:
        """Where its prepared image goes."""
        return self._out / self._splits[subject.patient] / f"{subject.id}_image.nii.gz"

    def holds(self, subject: RawSubject) -> bool:
        """Whether it is noted and its files are there; another one of its name is an error."""
        found = self.done.get(subject.id)
        if found is None:
            return False
        if found.source != self._source(subject):
            raise ConfigError(
                f"{self._out}: '{subject.id}' is there, made of {found.source} and not of "
                f"{self._source(subject)}. Fix: choose another output_dir."
            )
        image = self.image(subject)
        label = f"{subject.id}_label.nii.gz"
        files = (image, image.with_name(label), self._out / NATIVE / label)
        return all(path.is_file() for path in files)

    def note(self) -> None:
        """Write down what is done so far."""
        write_metadata(self._out, self.done.values(), self._splits)

    def make(self, subject: RawSubject) -> None:
        """Prepare one subject and note it; what is wrong with it is kept, a full disk is raised."""
        try:
            found = self._prepare(subject)
        except Exception as error:  # whatever befalls one subject, the others are still wanted
            if isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT):
                raise
            text = str(error) if isinstance(error, DelineateError) else _named(error)
            with self._lock:
                self.failures[subject.id] = text.replace(f"{self._root}/", "")
            return
        with self._lock:
            self.done[subject.id] = found
            self.note()

    def _prepare(self, subject: RawSubject) -> Subject:
        image, mask = read_subject(subject)
        array, grid, normalisation = prepare_volume(image, self._settings)
        ids = prepare_mask(mask, grid)
        home = self.image(subject)
        write_mask(self._out / NATIVE / f"{subject.id}_label.nii.gz", mask.array[0], like=mask)
        write_mask(home.with_name(f"{subject.id}_label.nii.gz"), ids, like=grid.prepared)
        write_image(home, array, like=grid.prepared)
        counts = np.bincount(mask.array.ravel())
        return Subject(
            id=subject.id,
            patient=subject.patient,
            split=self._splits[subject.patient],
            source=self._source(subject),
            grid=grid,
            normalisation=normalisation,
            voxels={int(label): int(counts[label]) for label in np.flatnonzero(counts) if label},
        )

    def _source(self, subject: RawSubject) -> str:
        return subject.image.relative_to(self._root).as_posix()


def _claim(out: Path, settings: PreprocessingConfig) -> None:
    """Note the settings in the tree; a tree that others have made is a ConfigError."""
    path = out / SETTINGS
    if path.is_file():
        before, now = plain(read_settings(PreprocessingConfig, path)), plain(settings)
        changed = [key for key in now if key not in _FREE_TO_CHANGE and before[key] != now[key]]
        if changed:
            key = changed[0]
            raise ConfigError(
                f"{out}: was prepared with {key}={before[key]}, and {now[key]} is asked for. "
                "Fix: choose another output_dir, or remove this one."
            )
    elif out.is_dir() and any(out.iterdir()):
        raise DataError(f"{out}: already holds something else. Fix: choose another output_dir.")
    for name in (*SPLITS, NATIVE):
        (out / name).mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as part:
        part.write_text(json.dumps(plain(settings), indent=2) + "\n", encoding="utf-8")


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
