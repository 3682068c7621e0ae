"""The raw folder of nnU-Net: imagesTr/<case>_0000.nii.gz, labelsTr/<case>.nii.gz, dataset.json."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from delineate.datasets.case import Case, Dataset
from delineate.datasets.declared import channel_names, declared_labels
from delineate.datasets.listing import natural, read_json, read_object
from delineate.errors import DataError

__all__ = ["EXPECTS", "read", "recognise"]

EXPECTS = "dataset.json and imagesTr/<case>_0000.nii.gz"

_CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")


def recognise(root: Path) -> bool:
    """Whether the folder is a raw data set of nnU-Net, version 1 or 2."""
    if not (root / "dataset.json").is_file():
        return False
    data = read_json(root / "dataset.json")
    if not isinstance(data, Mapping):
        return False
    ending = data.get("file_ending", ".nii.gz")
    return "dataset" in data or bool(_channels_in(root / "imagesTr", ending))


def read(root: Path) -> Dataset:
    """Training cases, and as split 'test' those of imagesTs; a region list becomes a class tree."""
    where = str(root / "dataset.json")
    data = read_object(root / "dataset.json")
    ending = data.get("file_ending", ".nii.gz")
    channels = channel_names(data.get("channel_names", data.get("modality")), where=where)
    if "dataset" in data:
        cases, orphans = _listed_cases(root, data["dataset"])
    else:
        training, lost = _folder_cases(root, "Tr", ending, len(channels))
        testing, lost_test = _folder_cases(root, "Ts", ending, len(channels))
        cases, orphans = training + testing, lost + lost_test
    return Dataset(
        root=root,
        layout="nnunet",
        cases=tuple(sorted(cases, key=lambda case: case.id)),
        channels=channels,
        labels=declared_labels(data.get("labels"), where=where),
        orphans=tuple(orphans),
    )


def _folder_cases(
    root: Path, part: str, ending: str, channels: int
) -> tuple[list[Case], list[str]]:
    """The cases of imagesTr or imagesTs; a case without all its channels is left over."""
    found = _channels_in(root / f"images{part}", ending)
    labels = _labels_in(root / f"labels{part}", ending)
    complete = {case: files for case, files in found.items() if sorted(files) == [*range(channels)]}
    orphans = [files[i] for case, files in found.items() if case not in complete for i in files]
    orphans += [path for case, path in labels.items() if case not in complete]
    cases = [
        Case(
            id=case,
            images=tuple(files[i] for i in range(channels)),
            label=labels.get(case),
            group=case,
            split="test" if part == "Ts" else None,
        )
        for case, files in complete.items()
    ]
    return cases, orphans


def _channels_in(folder: Path, ending: str) -> dict[str, dict[int, str]]:
    """Case to channel number to path, for the files named <case>_0000 and so on."""
    found: dict[str, dict[int, str]] = {}
    for path in _files(folder, ending):
        if match := _CHANNEL.fullmatch(path.name.removesuffix(ending)):
            found.setdefault(match["case"], {})[int(match["channel"])] = str(path)
    return found


def _labels_in(folder: Path, ending: str) -> dict[str, str]:
    return {path.name.removesuffix(ending): str(path) for path in _files(folder, ending)}


def _files(folder: Path, ending: str) -> Iterable[Path]:
    """The visible files with that ending; none where the folder is absent."""
    if not folder.is_dir():
        return []
    found = (p for p in folder.iterdir() if p.name.endswith(ending) and not p.name.startswith("."))
    return sorted(found, key=lambda path: natural(path.name))


def _listed_cases(root: Path, listed: Any) -> tuple[list[Case], list[str]]:
    """The cases of a 'dataset' table in dataset.json, whose files may lie anywhere."""
    cases, orphans = [], []
    for name, entry in listed.items():
        try:
            images = [root / image for image in entry["images"]]
            label = root / entry["label"]
        except (KeyError, TypeError):
            raise DataError(
                f"{root / 'dataset.json'}: the case '{name}' under 'dataset' is {entry!r}. "
                "Fix: give 'images' (a list) and 'label'."
            ) from None
        if all(image.exists() for image in images):
            paths = tuple(str(image) for image in images)
            mask = str(label) if label.exists() else None
            cases.append(Case(id=name, images=paths, label=mask, group=name))
        else:
            orphans += [str(path) for path in (*images, label)]
    return cases, orphans
