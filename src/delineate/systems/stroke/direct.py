"""The documented training without stages: the full network from random weights.

checkpoints/hybrid_model_<f>f_<transformer|cnn>/     a run folder
models/hybrid_final_<f>f_<transformer|cnn>.zip
logs/training_history_<f>f_<transformer|cnn>.csv
"""

import logging
from pathlib import Path

from delineate.errors import ConfigError
from delineate.groundwork import Bars
from delineate.io.paths import link
from delineate.package import open_model
from delineate.run import train
from delineate.run_folder import RunFolder
from delineate.systems.stroke.diary import LOG
from delineate.systems.stroke.evaluation import describe, measure_run, summarise
from delineate.systems.stroke.models_folder import SUFFIX, publish
from delineate.systems.stroke.pipeline import add_figures
from delineate.systems.stroke.settings import Settings
from delineate.systems.stroke.translate import make_direct_config

__all__ = ["train_direct"]

log = logging.getLogger("delineate")

CHECKPOINTS, MODELS, LOGS = Path("checkpoints"), Path("models"), Path("logs")


def train_direct(settings: Settings, *, bars: Bars) -> Path:
    """Train, or go on; the path of the model."""
    config = make_direct_config(settings, CHECKPOINTS / "direct")
    known = config.model.arguments
    kind = "transformer" if known["transformer"] else "cnn"
    name = f"{known['base_filters']}f_{kind}"
    config = config.model_copy(update={"run_dir": CHECKPOINTS / f"hybrid_model_{name}"})
    run, model = RunFolder(config.run_dir), MODELS / f"hybrid_final_{name}{SUFFIX}"
    if run.finished:
        try:
            run.refuse_another(config)
        except ConfigError as error:
            fix = f"Fix: move {run.path} away."
            raise ConfigError(str(error).partition("Fix:")[0] + fix) from None
        log.info("%s: finished already", run.path)
    else:
        train(config, bars=bars, add=add_figures)
    publish(run, model)
    link(run.path / LOG, LOGS / f"training_history_{name}.csv")
    summary = summarise(measure_run(run, labels=open_model(model).labels, bars=bars))
    for line in (f"{model}", *describe(summary)):
        log.info(line)
    return model
