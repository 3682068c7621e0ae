"""The documented training on the engine: from a folder to checkpoints, a log and a package."""

import logging
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from delineate.config import Config
from delineate.console import Bars, showing_progress
from delineate.errors import ConfigError
from delineate.folder_lock import alone_in
from delineate.notes import writing_notes
from delineate.plan import Plan, write_plan
from delineate.run import train as walk
from delineate.run_folder import RunFolder, first_free
from delineate.systems.brainstem.checkpoints import BEST, Keeper, go_on_from
from delineate.systems.brainstem.criteria import judge, read_criteria, write_verdicts
from delineate.systems.brainstem.diary import Diary
from delineate.systems.brainstem.pace import Pace, choose_pace, recall_pace, write_pace
from delineate.systems.brainstem.pipeline_configuration import describe_pipeline, write_pipeline
from delineate.systems.brainstem.prepared import Prepared, prepare_tree
from delineate.systems.brainstem.scoring import FIGURES, BrainstemScorer
from delineate.systems.brainstem.settings import TrainingConfig, checked, plain
from delineate.systems.brainstem.trained import PACKAGE, checkpoint_facts, for_scans, write_model
from delineate.systems.brainstem.translate import make_config, make_plan
from delineate.systems.brainstem.tree import SCHEMA, Tree, read_tree
from delineate.training import Additions, Lesson

__all__ = ["BrainstemTrainer", "Outcome"]

log = logging.getLogger("delineate")

LOG = "training.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a training came to."""

    weights: Path
    """best_model.pth"""
    package: Path
    """For `delineate predict`, and for `auto_segment_brainstem`."""
    run: Path
    """The engine's folder: report, figures, masks of what was held out."""
    dice: float
    """Mean over the structures of what was held out, on its own grid."""


class BrainstemTrainer:
    """Trains as the settings say, from the documented folder into the documented files.

    A training that was stopped goes on when it is begun again with the same settings.

    Args:
        config: the settings.
        data_dir: holds nextbrain/ (or a folder for each subject) and metadata/.
        output_dir: where everything goes; made if need be.
    """

    def __init__(
        self, config: TrainingConfig, data_dir: str | Path, output_dir: str | Path
    ) -> None:
        self.config = checked(config)
        self.data_dir = Path(data_dir)
        self.output_dir = Path(output_dir).expanduser().absolute()

    def train(self) -> Outcome:
        """From the scans to a package."""
        try:
            self.output_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"output_dir {self.output_dir} cannot be made ({error.strerror}). "
                "Fix: a folder that may be written to."
            ) from None
        log_file = self.output_dir / LOG
        with writing_notes(log_file), showing_progress() as bars, alone_in(self.output_dir):
            tree = read_tree(self.data_dir)
            criteria = read_criteria(tree.schema, tree.root / SCHEMA)
            prepared = prepare_tree(tree, self.config, self.output_dir, bars=bars)
            plan = make_plan(self.config, prepared)
            pace = self._pace(plan, prepared)
            log.info(pace.describe())
            engine = first_free(
                self.output_dir / "run", partial(make_config, self.config, prepared, pace)
            )
            memory_gb = round(pace.memory_gb, 3)
            write_plan(replace(plan, memory_gb=memory_gb), engine.plan.file or Path())
            write_pipeline(
                describe_pipeline(self.config, prepared, plan, pace, engine), self.output_dir
            )
            add = partial(
                _add, config=self.config, pace=pace, bars=bars, folder=self.output_dir, plan=plan
            )
            result = walk(engine, bars=bars, add=add)
            outcome = self._finish(engine, tree, result.dice)
            verdicts = judge(criteria, prepared, engine.run_dir / "validation")
            write_verdicts(criteria, verdicts, prepared.labels, self.output_dir)
            return outcome

    def _pace(self, plan: Plan, prepared: Prepared) -> Pace:
        """As an unfinished training has it, or chosen for the memory that there is."""
        if any(RunFolder(path).unfinished for path in self.output_dir.glob("run*/")):
            known = recall_pace(self.config, self.output_dir)
            if known is not None:
                return known
        pace = choose_pace(self.config, plan, subjects=prepared.training)
        write_pace(pace, self.config, self.output_dir)
        return pace

    def _finish(self, engine: Config, tree: Tree, dice: float) -> Outcome:
        package = self.output_dir / PACKAGE
        write_model(engine.run_dir, package, tree, self.config)
        outcome = Outcome(
            weights=self.output_dir / BEST, package=package, run=engine.run_dir, dice=dice
        )
        log.info("weights: %s, package: %s, report: %s", outcome.weights, package, outcome.run)
        return outcome


def _add(
    lesson: Lesson,
    *,
    config: TrainingConfig,
    pace: Pace,
    bars: Bars,
    folder: Path,
    plan: Plan,
) -> Additions:
    """Scorer, log and checkpoints."""
    if config.resume is not None and not lesson.states.files:
        go_on_from(Path(config.resume).expanduser(), lesson)
    weights = sum(weight.numel() for weight in lesson.task.network.parameters())
    log.info("%s with %.1f million weights", lesson.config.model.name, weights / 1e6)
    lesson.task.memory.parts = pace.parts
    diary = Diary(lesson, pace, bars)
    facts: dict[str, Any] = checkpoint_facts(plain(config), for_scans(plan, config), lesson.config)
    keeper = Keeper(lesson, diary, folder=folder, facts=facts, every=config.save_interval)
    return Additions(
        scorer=BrainstemScorer(lesson),
        figures=FIGURES,
        watchers=[diary, keeper],
        callbacks=[diary, keeper],
    )
