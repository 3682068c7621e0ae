"""Cross-validation: every case is scored once, by a network that has not seen its patient."""

from collections.abc import Callable

from delineate.config import Config
from delineate.errors import ConfigError
from delineate.groundwork import Bars
from delineate.inference import choose_postprocessing, write_postprocessing
from delineate.metrics import Table, read_table, write_table
from delineate.plan import read_plan
from delineate.run import train
from delineate.run_folder import RunFolder

__all__ = ["cross_validate", "fold_configs"]


def cross_validate(
    config: Config, *, bars: Bars, train_fold: Callable[..., object] | None = None
) -> Table:
    """Train every fold in `run_dir/fold_<i>` and pool their scores in `run_dir/table.csv`.

    Beside it lies the post-processing that helps on all cases together. Finished folds are kept,
    so the same command goes on where it was stopped; a fold of another configuration is a
    ConfigError.

    Args:
        train_fold: Trains one fold, or leaves it as it is where it is finished; None is one run,
            `delineate.stages.train` goes through the stages that a configuration declares.
    """
    one = train_fold or _train_one
    runs = []
    for fold in fold_configs(config):
        one(fold, bars=bars)
        runs.append(RunFolder(fold.run_dir))
    pooled = Table(tuple(row for run in runs for row in read_table(run.table).rows))
    write_table(pooled, config.run_dir / "table.csv")
    pairs = [pair for run in runs for pair in run.pairs()]
    labels = read_plan(runs[0].plan).labels
    chosen = choose_postprocessing(pairs, labels, progress=bars.track)
    write_postprocessing(RunFolder(config.run_dir).steps, *chosen)
    return pooled


def fold_configs(config: Config) -> list[Config]:
    """The configuration of each fold; a ConfigError where there are none."""
    folds = config.data.folds
    if folds is None:
        raise ConfigError(
            "data.folds is null, so there is one split and nothing to cross. "
            "Fix: set data.folds to a number, or use `delineate train`."
        )
    return [_held_out(config, fold) for fold in range(5 if folds == "nnunet" else folds)]


def _held_out(config: Config, fold: int) -> Config:
    data = config.data.model_copy(update={"fold": fold})
    return config.model_copy(update={"data": data, "run_dir": config.run_dir / f"fold_{fold}"})


def _train_one(config: Config, *, bars: Bars) -> None:
    run = RunFolder(config.run_dir)
    if run.finished:
        run.refuse_another(config)
    else:
        train(config, bars=bars)
