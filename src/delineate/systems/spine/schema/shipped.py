"""The YAML files that come with the package: eight experiments, their data sets, folders."""

import shutil
from pathlib import Path

from delineate.config.words import did_you_mean
from delineate.errors import ConfigError

__all__ = ["TRAINING", "find_dataset", "write_shipped"]

TRAINING = Path(__file__).parents[1] / "training"


def write_shipped(folder: Path) -> int:
    """Copy them into an empty or new folder; how many there are."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder}: is there already. Fix: the name of a new folder.")
    files = sorted(TRAINING.rglob("*.yaml"))
    for file in files:
        target = folder / file.relative_to(TRAINING)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    return len(files)


def find_dataset(said: str | Path, beside: Path) -> Path:
    """The YAML file of a data set, by its path, or by its name {task}_{split}_{factor}_{size}.

    A name is looked for in the folders `dataset` beside a file and above it, then among those that
    come with the package.

    Args:
        beside: A file, that of the experiment.
    """
    path = Path(said)
    if path.suffix.lower() in (".yaml", ".yml"):
        if path.is_file():
            return path
        raise ConfigError(f"--dataset {said}: no such file.")
    name = f"{path.name}.yaml"
    folders = [folder / "dataset" for folder in (*beside.absolute().parents, TRAINING)]
    found = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if found is None:
        known = sorted({file.stem for folder in folders for file in folder.glob("*.yaml")})
        near = did_you_mean(path.name, known)
        raise ConfigError(
            f"--dataset {said}: there is no such data set.{near} There are: {', '.join(known)}."
        )
    return found
