"""The demonstration: synthetic scans, a model trained on them, a page that shows it."""

from pathlib import Path

from delineate.config import load_config
from delineate.datasets import synthesise
from delineate.metrics import read_table
from delineate.run import Bars, Result, train
from delineate.run_folder import RunFolder

__all__ = ["demonstrate"]

CASES, SHAPE = 30, (36, 36, 24)
"""Small enough to learn well in a minute on two slow cores."""


def demonstrate(folder: Path, *, budget: str, bars: Bars) -> Result:
    """Make scans, train and report in `folder`; what is there already is kept."""
    scans = folder / "scans"
    run = RunFolder(folder / "run")
    keys = {"data.root": scans, "run_dir": run.path, "train.budget": budget}
    config = load_config("starter", [f"{k}={v}" for k, v in keys.items()])
    if not scans.exists():
        synthesise("heart", scans, cases=CASES, shape=SHAPE, seed=0, layout="msd")
    if run.finished:
        table = read_table(run.table)
        return Result(page=run.page, dice=table.mean("dice"), cases=len(table.cases))
    return train(config, bars=bars)
