"""The documented training on the engine: from settings to checkpoints, figures and a run folder."""

import logging
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from delineate.engine.hardware import choose_device
from delineate.engine.panels import Panels
from delineate.groundwork import NoBars
from delineate.notes import showing_notes
from delineate.plan import Plan, write_plan
from delineate.run import train as walk
from delineate.run_folder import first_free
from delineate.systems.sadaan.checkpoints import BEST, Keeper, go_on_from
from delineate.systems.sadaan.diary import Diary, EpochEnds, Epochs, Journal, Unheard
from delineate.systems.sadaan.plateau import EarlyStop
from delineate.systems.sadaan.scoring import Scorer
from delineate.systems.sadaan.settings import Settings
from delineate.systems.sadaan.translate import (
    find_mirrored_axes,
    in_validations,
    make_config,
    make_plan,
    read_data,
)
from delineate.training import Additions, Lesson

__all__ = ["Outcome", "train"]

log = logging.getLogger("delineate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a training came to."""

    weights: Path
    """best_model.pth"""
    run: Path
    """The engine's folder: report, plan, figures, masks of the validation samples."""
    figures: dict[str, float]
    """`validation_loss`, `presence_accuracy` and `mean_dice` of these weights."""


def train(settings: Settings, journal: Journal | None = None) -> Outcome:
    """Train as the settings say; an unfinished training of the same settings goes on."""
    journal = journal or Unheard()
    with showing_notes(_say):
        dataset = read_data(settings)
        plan = make_plan(settings, dataset)
        mirrored = find_mirrored_axes(dataset)
        folder = settings.checkpoint.save_dir
        config = first_free(folder / "run", partial(make_config, settings, mirrored=mirrored))
        _log_samples(journal, [case.split for case in dataset.cases], len(plan.labels.leaves))
        _say_one_card(settings)
        write_plan(plan, folder / "plan.json")
        system = _System(settings, plan, journal)
        result = walk(config, bars=NoBars(), add=system.add)
        assert system.diary is not None
        figures = system.diary.close()
        for path in (folder / BEST, result.page):
            journal.add_artifact(str(path))
        log.info("weights: %s, report: %s", folder / BEST, result.page)
    return Outcome(weights=folder / BEST, run=config.run_dir, figures=figures)


class _System:
    """What SADAAN adds to the engine's loop."""

    def __init__(self, settings: Settings, plan: Plan, journal: Journal) -> None:
        self.settings = settings
        self.plan = plan
        self.journal = journal
        self.diary: Diary | None = None
        """Made with the lesson."""

    def add(self, lesson: Lesson) -> Additions:
        """Scorer, figures, checkpoints, early end, and pictures."""
        wish, training = self.settings, self.settings.training
        epochs = Epochs.of(lesson)
        diary = self.diary = Diary(
            lesson,
            self.journal,
            every=wish.logging.log_frequency,
            longest=training.max_history_length,
        )
        if wish.resume is not None and not lesson.states.files:
            go_on_from(wish.resume, lesson, diary)
        keeper = Keeper(
            lesson,
            diary,
            folder=wish.checkpoint.save_dir,
            facts=self._facts(),
            every=None if wish.checkpoint.keep_best_only else wish.checkpoint.save_frequency,
        )
        _log_parameters(self.journal, lesson)
        patience = in_validations(wish, training.early_stopping_patience)
        panels = self._panels(lesson)
        scorer = Scorer(
            lesson,
            device=choose_device(wish.device),
            threshold=wish.model.presence_threshold,
            show=panels.take if panels else None,
        )
        ends = EpochEnds(
            diary.batch,
            [diary.end_epoch, keeper.end_epoch],
            epochs=epochs,
            clean_every=training.memory_cleanup_frequency,
        )
        watchers: list[Any] = [diary, keeper, EarlyStop(lesson.task.clock, patience=patience)]
        if panels is not None:
            watchers += [panels, _Pictures(lesson.run.panels, self.journal)]
        return Additions(scorer=scorer, figures=scorer.figures, watchers=watchers, callbacks=[ends])

    def _facts(self) -> dict[str, Any]:
        """What a checkpoint says of how its network saw the images."""
        return {
            "structure_names": [leaf.name for leaf in self.plan.labels.leaves],
            "presence_threshold": self.settings.model.presence_threshold,
            "plan": (self.settings.checkpoint.save_dir / "plan.json").read_text(encoding="utf-8"),
        }

    def _panels(self, lesson: Lesson) -> Panels | None:
        wish = self.settings.logging
        if not wish.visualize_predictions:
            return None
        cases = [case.id for case in lesson.split.validation[: wish.num_visualization_samples]]
        clock, folder = lesson.task.clock, lesson.run.panels
        return Panels(lesson.cache, lesson.plan, cases, folder=folder, trackers=(), clock=clock)


class _Pictures:
    """Hands the pictures of each validation to the journal."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        self.folder = folder
        self.journal = journal
        self._known: set[Path] = set(folder.glob("*.png"))

    def observe(self, scores: object) -> None:
        """Those that are new."""
        new = sorted(set(self.folder.glob("*.png")) - self._known)
        self._known.update(new)
        for path in new:
            self.journal.add_artifact(str(path))


def _say(line: str) -> None:
    """On standard output, whoever listens there: Sacred puts it into cout.txt."""
    print(line, file=sys.stdout, flush=True)


def _log_samples(journal: Journal, splits: list[str | None], structures: int) -> None:
    journal.log_scalar("data.train_samples", splits.count("train"), 0)
    journal.log_scalar("data.val_samples", splits.count("validation"), 0)
    journal.log_scalar("data.num_structures", structures, 0)


def _log_parameters(journal: Journal, lesson: Lesson) -> None:
    weights = list(lesson.task.network.parameters())
    trained = sum(weight.numel() for weight in weights if weight.requires_grad)
    journal.log_scalar("model.total_parameters", sum(w.numel() for w in weights), 0)
    journal.log_scalar("model.trainable_parameters", trained, 0)


def _say_one_card(settings: Settings) -> None:
    cards = torch.cuda.device_count() if settings.device != "cpu" else 0
    if cards > 1:
        log.warning("%d cards are visible; the training runs on the first one", cards)
