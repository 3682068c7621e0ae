"""From the folders of trainings to one file that carries the model."""

from collections.abc import Callable, Sequence
from pathlib import Path

from delineate.config import load_config
from delineate.inference.model import Model
from delineate.package.card import Statement, write_card
from delineate.package.facts import pool_tables, take_training
from delineate.package.networks import refuse_untrusted
from delineate.package.privacy import private_words
from delineate.package.read import read_package
from delineate.package.runs import Progress, find_runs, list_cases, model_of
from delineate.package.write import write_package
from delineate.run_folder import RunFolder

__all__ = ["package_runs"]


def package_runs(
    folders: Sequence[Path],
    out: Path,
    *,
    statement: Statement | None = None,
    trust: Sequence[str] = (),
    progress: Progress | None = None,
    change: Callable[[Model], Model] | None = None,
) -> Model:
    """Write the model of these trainings to `out`, and return it as it is read back from there.

    Args:
        folders: Run folders, or that of a cross-validation: all their networks predict together.
        statement: What only the authors can say; None leaves that open, and the card says so.
        trust: Must cover networks that are given by import path, as it must when reading.
        progress: Shown the training scans, where they are looked at; None looks at none.
        change: What becomes of the model before it is written; None leaves it as it is.
    """
    runs = find_runs(folders)
    configs = [load_config(run.config) for run in runs]
    for config in configs:
        refuse_untrusted(config.model.name, trust)
    model = model_of(folders, progress=progress)
    model = model if change is None else change(model)
    card = write_card(
        model,
        statement or Statement(),
        training=take_training(runs),
        table=pool_tables(runs),
    )
    parts = tuple(config.model for config in configs)
    write_package(out, model, parts, card=card, private=_private(runs))
    return read_package(out, trust=trust)


def _private(runs: Sequence[RunFolder]) -> frozenset[str]:
    """Names of cases and patients, and every folder that the runs know of."""
    cases = list_cases(runs, "training", "validation")
    names = {name for case in cases for name in (case.id, case.group) if name}
    configs = [load_config(run.config) for run in runs]
    paths = [path for config in configs for path in (config.data.root, config.run_dir)]
    paths += [Path(image).parent for case in cases for image in case.images]
    return private_words(names, [*dict.fromkeys(paths), *(run.path for run in runs)])
