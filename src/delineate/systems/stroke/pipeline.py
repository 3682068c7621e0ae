"""The documented pipeline: stages one after the other, their models, histories and results.

callbacks/<stage>/              a run folder; also best_model.safetensors, training_log.csv,
                                memory_usage.json, tensorboard/
models/<stage>_final.zip        a package, and who was held out in a JSON file beside it
results/<stage>_history.json    the columns of training_log.csv
results/progressive_training_<time>.json
"""

import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from delineate.config import Config, load_config, stage_configs
from delineate.engine.panels import Panels
from delineate.errors import DelineateError
from delineate.groundwork import Bars
from delineate.io import atomic_path
from delineate.package import open_model
from delineate.run_folder import RunFolder, first_free
from delineate.stages import train as train_stages
from delineate.systems.stroke.diary import Diary, Listener, read_history
from delineate.systems.stroke.evaluation import describe, measure_run, summarise
from delineate.systems.stroke.models_folder import SUFFIX, publish
from delineate.systems.stroke.scoring import FIGURES, StrokeScorer
from delineate.systems.stroke.settings import STAGE_NAMES, Settings
from delineate.systems.stroke.translate import make_config
from delineate.training import Additions, Lesson

__all__ = ["add_figures", "finish", "train_pipeline"]

log = logging.getLogger("delineate")

CALLBACKS, MODELS, RESULTS = Path("callbacks"), Path("models"), Path("results")
PICTURED = 4


def train_pipeline(settings: Settings, *, stage: str | None = None, bars: Bars) -> Path:
    """Train all stages, or one of them; what was stopped goes on. The path of the results.

    Args:
        stage: This one alone, from the weights of the one before where that is finished.
    """
    config = first_free(CALLBACKS, partial(make_config, settings), _taken)
    names = STAGE_NAMES if stage is None else (stage,)
    results: dict[str, Any] = {}
    out = RESULTS / f"progressive_training_{datetime.now(UTC):%Y%m%d_%H%M%S}.json"
    for name in names:
        try:
            train_stages(config, bars=bars, stage=name, add=add_figures)
            results[name] = finish(config, name, bars=bars)
        except DelineateError as error:
            results[name] = {"error": str(error)}
            raise
        finally:
            if results:
                _write(out, results)
    if stage is None:
        # All are finished: this makes the folder around them that of the last one.
        train_stages(config, bars=bars)
    return out


def add_figures(lesson: Lesson) -> Additions:
    """What the documented files need of a training."""
    panels = _panels(lesson)
    diary = Diary(lesson)
    return Additions(
        scorer=StrokeScorer(lesson, panels.take),
        figures=FIGURES,
        watchers=[panels, diary],
        callbacks=[Listener(diary)],
    )


def finish(config: Config, name: str, *, bars: Bars) -> dict[str, Any]:
    """The model, the history and the figures of a finished stage."""
    run = RunFolder(config.run_dir / name)
    model = MODELS / f"{name}_final{SUFFIX}"
    publish(run, model)
    _write(RESULTS / f"{name}_history.json", read_history(run.path))
    summary = summarise(measure_run(run, labels=open_model(model).labels, bars=bars))
    for line in (f"{name}: {model}", *describe(summary)):
        log.info(line)
    own = load_config(run.config).model_dump(mode="json")
    return {"model_path": str(model), **summary, "config": own}


def _taken(config: Config) -> bool:
    """Whether a stage of another configuration lies there, its beginning apart."""
    for name, stage in zip(STAGE_NAMES, stage_configs(config), strict=True):
        run = RunFolder(config.run_dir / name)
        if run.config.is_file():
            start = load_config(run.config).start
            if run.is_another(stage.model_copy(update={"start": start})):
                return True
    return False


def _panels(lesson: Lesson) -> Panels:
    shown: Sequence[str] = [case.id for case in lesson.split.validation[:PICTURED]]
    clock, folder = lesson.task.clock, lesson.run.panels
    return Panels(lesson.cache, lesson.plan, shown, folder=folder, trackers=(), clock=clock)


def _write(path: Path, data: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as part:
        part.write_text(json.dumps(data, indent=2), encoding="utf-8")
