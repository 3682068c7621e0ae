"""All slices of an experiment: found, dealt by patient, thinned out; and what their labels are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath
from typing import Any

from delineate.errors import ConfigError, DataError
from delineate.io.paths import missing, suffix_of
from delineate.systems.spine.schema.named_arguments import arguments, pick
from delineate.systems.spine.schema.settings import Data, Source
from delineate.systems.spine.slices.csv_tables import csv_rows
from delineate.systems.spine.slices.drivers import DRIVERS, as_slices, find_files, patient_in_header
from delineate.systems.spine.slices.folders import class_folders, image_and_mask_folders
from delineate.systems.spine.slices.patients import Patients, settle
from delineate.systems.spine.slices.pipeline import run_pipeline
from delineate.systems.spine.slices.rows import Row, Slice
from delineate.systems.spine.slices.sample import Task
from delineate.systems.spine.slices.volume_pictures import Cut

__all__ = ["Slice", "Table", "Task", "find_table"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The slices of all sources."""

    slices: tuple[Slice, ...]
    task: Task
    classes: tuple[str, ...] | None
    """In the order of their numbers; None for masks. Thinning out takes no class away."""

    def of(self, phase: str) -> tuple[Slice, ...]:
        """Those of one phase."""
        return tuple(item for item in self.slices if item.phase == phase)


def find_table(data: Data, root: Path, *, seed: int) -> Table:
    """The slices of every source, in the order that the file gives.

    Args:
        data: What is asked for.
        root: The folder that the sources' paths begin at.
        seed: Of patients that are dealt, and of the pipelines.
    """
    found: dict[str, list[Slice]] = {}
    for name, source in data.dataset.items():
        found[name] = _crawl(name, source, root, seed)
    everything = [item for slices in found.values() for item in slices]
    if not everything:
        raise ConfigError("data.dataset: names no source. Fix: give each a name and a path.")
    _refuse_two_phases(everything)
    task = _task(everything)
    kept = [
        item
        for name, slices in found.items()
        for item in run_pipeline(slices, data.dataset[name].pipeline, source=name, seed=seed)
    ]
    return Table(
        slices=tuple(kept),
        task=task,
        classes=_classes(everything, data) if task == "classification" else None,
    )


def _crawl(name: str, source: Source, root: Path, seed: int) -> list[Slice]:
    """The slices of one source, before its pipeline."""
    where = f"data.dataset.{name}"
    if source.driver not in DRIVERS:
        pick(source.driver, dict.fromkeys(DRIVERS), what=f"{where}.driver:")
    finder = pick(source.crawler.name, CRAWLERS, what=f"{where}.crawler:")
    folder = _folder(root, source.path)
    params = dict(source.crawler.params)
    about = {key: params.pop(key) for key in _PATIENT_KEYS if key in params}
    cut = {key: params.pop(key) for key in ("plane",) if key in params}
    asked = Patients.of(**arguments(Patients.of, about, where=f"{where}.crawler"))
    given = arguments(_cut, cut, where=f"{where}.crawler")
    rows = finder(folder, source.driver, params, where=f"{where}.crawler")
    if source.driver == "dicom" and asked.group is None:
        rows = [replace(row, patient=row.patient or patient_in_header(row.path)) for row in rows]
    rows = as_slices(settle(rows, asked, source=where, seed=seed), source.driver, **given)
    return [_slice(name, row) for row in rows]


_PATIENT_KEYS = ("group", "split", "allow_shared_patients")


def _cut(*, plane: Cut = "auto") -> None:
    """What may be said of how scans are cut."""


def _folder(root: Path, path: str) -> Path:
    """Where a source lies; a path written on Windows is understood."""
    plain = Path(path)
    written = plain if (root / plain).exists() else Path(PureWindowsPath(path).as_posix())
    folder = root / written
    if not folder.exists():
        raise missing(str(folder))
    return folder


def _by_class(folder: Path, driver: str, params: dict[str, Any], *, where: str) -> list[Row]:
    given = arguments(class_folders, params, where=where, supplied=("root", "files"))
    files, _ = find_files(folder, driver)
    return class_folders(folder, files, **given)


def _by_mask(folder: Path, driver: str, params: dict[str, Any], *, where: str) -> list[Row]:
    supplied = ("root", "files", "others")
    given = arguments(image_and_mask_folders, params, where=where, supplied=supplied)
    files, others = find_files(folder, driver)
    return image_and_mask_folders(folder, files, others, **given)


def _by_table(folder: Path, driver: str, params: dict[str, Any], *, where: str) -> list[Row]:
    return csv_rows(folder, **arguments(csv_rows, params, where=where, supplied=("root",)))


CRAWLERS: dict[str, Callable[..., list[Row]]] = {
    "csv": _by_table,
    "file": _by_class,
    "segmentation_file": _by_mask,
}


def _slice(dataset: str, row: Row) -> Slice:
    suffix = suffix_of(row.name) or ""
    assert row.phase is not None
    return Slice(
        id=f"{dataset}/{row.name[: len(row.name) - len(suffix)]}",
        input_path=row.path,
        label=row.label,
        phase=row.phase,
        dataset=dataset,
        group=row.patient or row.name,
    )


def _refuse_two_phases(slices: Sequence[Slice]) -> None:
    """A file that several sources name is in one phase."""
    seen: dict[str, Slice] = {}
    for item in slices:
        first = seen.setdefault(item.input_path, item)
        if first.phase != item.phase:
            raise DataError(
                f"{item.input_path}: is in phase {first.phase} of {first.dataset} and in phase "
                f"{item.phase} of {item.dataset}. Fix: keep it in one phase."
            )


def _task(slices: Sequence[Slice]) -> Task:
    masked = [item for item in slices if item.label is None or suffix_of(item.label) is not None]
    if not masked:
        return "classification"
    if len(masked) < len(slices):
        other = next(item for item in slices if item.label and suffix_of(item.label) is None)
        raise DataError(
            f"{masked[0].id} has {'no label' if masked[0].label is None else 'a mask'}, but "
            f"{other.id} has the class '{other.label}'. Fix: give every slice the same kind of "
            "label."
        )
    if all(item.label is None for item in slices):
        raise DataError(f"{slices[0].id} and all others have no label. Fix: name their column.")
    return "segmentation"


def _classes(slices: Sequence[Slice], data: Data) -> tuple[str, ...]:
    """Every label of any source: sorted, or where label_encoding says so in order of appearance."""
    names = list(dict.fromkeys(item.label or "" for item in slices))
    steps = [step for step in data.preprocess if step.name == "label_encoding"]
    if all(step.params.get("ordered", True) for step in steps):
        names.sort(key=_as_number if all(map(_is_whole, names)) else str)
    return tuple(names)


def _is_whole(text: str) -> bool:
    return text.lstrip("-").isdigit()


def _as_number(text: str) -> tuple[int, str]:
    return int(text), text
