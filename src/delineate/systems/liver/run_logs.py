"""Where the figures of a run go: TensorBoard, a table, and the settings, in one folder."""

import logging
import warnings
from importlib.util import find_spec
from itertools import count
from pathlib import Path

from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from delineate.systems.liver.settings import ModelTrainingConfig

__all__ = ["begin_table", "make_loggers"]

log = logging.getLogger("delineate")

TABLE = "metrics.csv"


def make_loggers(config: ModelTrainingConfig) -> list[Logger]:
    """TensorBoard where it is installed, and metrics.csv and hparams.yaml beside it.

    The folder is log_dir/project_name/run_name, or the next version_N.
    """
    folder, name, run = config.log_dir, config.project_name, config.run_name
    table = CSVLogger(folder, name=name, version=run)
    if find_spec("tensorboard") is None:
        log.warning('figures go to %s only. Fix: pip install "delineate[tensorboard]"', TABLE)
        return [table]
    board = TensorBoardLogger(folder, name=name, version=table.version, default_hp_metric=False)
    return [board, table]


@rank_zero_only
def begin_table(loggers: list[Logger]) -> None:
    """Open metrics.csv; one that an earlier training left becomes metrics_1.csv, metrics_2.csv."""
    for logger in loggers:
        if isinstance(logger, CSVLogger):
            table = Path(logger.log_dir) / TABLE
            if table.is_file():
                number = next(n for n in count(1) if not table.with_stem(f"metrics_{n}").exists())
                table.rename(table.with_stem(f"metrics_{number}"))
            with warnings.catch_warnings():
                # The folder is TensorBoard's as well.
                warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
                _ = logger.experiment
