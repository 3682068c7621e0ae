"""The demonstration: synthetic scans, a model trained on them, a page that shows it."""

from pathlib import Path

from delineate.config import load_config
from delineate.datasets import synthesise
from delineate.metrics import read_table
from delineate.run import Bars, Result, train
from delineate.run_folder import RunFolder

__all__ = ["demonstrate"]

CASES = 30


def demonstrate(folder: Path, *, budget: str, bars: Bars) -> Result:
    """Make scans, train and report in `folder`; what is there already is kept."""
    scans = folder / "scans"
    if not scans.exists():
        synthesise("organs", scans, cases=CASES, shape=(64, 64, 64), seed=0, layout="msd")
    run = RunFolder(folder / "run")
    if run.page.exists():
        table = read_table(run.validation / "table.csv")
        return Result(page=run.page, dice=table.mean("dice"), cases=len(table.cases))
    keys = {"data.root": scans, "run_dir": run.path, "train.budget": budget}
    return train(load_config("starter", [f"{k}={v}" for k, v in keys.items()]), bars=bars)
