"""Cross-validation: every case is scored once, by a network that has not seen its patient."""

from delineate.config import Config
from delineate.errors import ConfigError
from delineate.groundwork import Bars
from delineate.inference import choose_postprocessing, write_postprocessing
from delineate.metrics import Table, read_table, write_table
from delineate.plan import read_plan
from delineate.run import train
from delineate.run_folder import RunFolder

__all__ = ["cross_validate"]


def cross_validate(config: Config, *, bars: Bars) -> Table:
    """Train every fold in `run_dir/fold_<i>` and pool their scores in `run_dir/table.csv`.

    Beside it lies the post-processing that helps on all cases together. Finished folds are kept,
    so the same command goes on where it was stopped; a fold of another configuration is a
    ConfigError.
    """
    runs = [_one(fold, bars=bars) for fold in _folds(config)]
    pooled = Table(tuple(row for run in runs for row in read_table(run.table).rows))
    write_table(pooled, config.run_dir / "table.csv")
    pairs = [pair for run in runs for pair in run.pairs()]
    labels = read_plan(runs[0].plan).labels
    chosen = choose_postprocessing(pairs, labels, progress=bars.track)
    write_postprocessing(RunFolder(config.run_dir).steps, *chosen)
    return pooled


def _folds(config: Config) -> list[Config]:
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


def _one(config: Config, *, bars: Bars) -> RunFolder:
    run = RunFolder(config.run_dir)
    if run.finished:
        run.refuse_another(config)
    else:
        train(config, bars=bars)
    return run
