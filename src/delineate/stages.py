"""Training in stages: each begins with the weights that the one before it ended with.

`run_dir/<stage>` is a run folder like any other, so what is stopped goes on in its stage to the
same bits, and what is finished is kept. `run_dir/stages.json` says how far things are. When all
stages are finished, `run_dir` is itself a run folder, that of the last stage.
"""

import filecmp
import gc
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from delineate.config import Config, check_parts, stage_configs
from delineate.config.words import did_you_mean
from delineate.errors import ConfigError, DataError
from delineate.folder_lock import LOCK, alone_in
from delineate.groundwork import Bars, cache_folder
from delineate.io.paths import link
from delineate.metrics import read_table
from delineate.plan import read_plan
from delineate.report import write_report
from delineate.report.hashes import hash_file
from delineate.run import Result
from delineate.run import train as train_one
from delineate.run_folder import RunFolder

if TYPE_CHECKING:
    from delineate.training import Addition, Lesson

__all__ = ["SUMMARY", "train"]

SUMMARY = "stages.json"

log = logging.getLogger("delineate")


@dataclass(frozen=True, slots=True)
class _Stage:
    """One stage with its configuration, whole, and the stages before it."""

    name: str
    config: Config
    before: tuple["_Stage", ...]

    @property
    def run(self) -> RunFolder:
        """Its folder."""
        return RunFolder(self.config.run_dir)

    @property
    def number(self) -> int:
        """Its place among all stages, counted from 1."""
        return len(self.before) + 1

    @property
    def beginning(self) -> str:
        """What is done about it, in words."""
        start = self.config.start.weights
        if self.run.finished or self.run.unfinished:
            return "finished" if self.run.finished else "goes on"
        return "begins at random" if start is None else f"begins with the weights of {start}"

    @property
    def carries(self) -> RunFolder | None:
        """The run whose weights it begins with, where that is the stage before it."""
        run = self.before[-1].run if self.before else None
        return run if run is not None and self.config.start.weights == run.path else None


def train(
    config: Config,
    *,
    bars: Bars,
    stage: str | None = None,
    restart: bool = False,
    add: "Addition | None" = None,
) -> Result:
    """Train as the configuration says: stage after stage, or one run where it has no stages.

    The same call goes on where it was stopped. The result is that of the last stage.

    Args:
        stage: Train this one alone, from the weights of the stage before it if that is finished,
            else from what `start` says.
        restart: Begin an unfinished stage anew; finished ones stay.
        add: What a system adds to the training loop of every stage.
    """
    if not config.stages:
        if stage is not None:
            raise ConfigError(f"--stage {stage}: this configuration declares no stages.")
        return train_one(config, bars=bars, restart=restart, add=add)
    stages = _read_stages(config, alone=stage)
    chosen = [one for one in stages if stage in (None, one.name)]
    for one in stages:
        check_parts(one.config)
    with _alone_in(config.run_dir):
        results: list[Result] = []
        for one in chosen:
            _write_summary(config, stages)
            log.info("stage %d of %d, %s: %s", one.number, len(stages), one.name, one.beginning)
            results.append(_train(one, bars=bars, restart=restart, add=add))
        _write_summary(config, stages)
        if stage is not None:
            return results[-1]
        return replace(results[-1], page=_publish(stages[-1].run, RunFolder(config.run_dir)))


def _read_stages(config: Config, *, alone: str | None) -> tuple[_Stage, ...]:
    """Every stage with its folder; each but the first takes the weights of the one before it.

    Args:
        alone: The stage that is trained without the others: weights that are not there yet are not
            waited for.
    """
    stages: list[_Stage] = []
    names = [stage.name for stage in config.stages]
    if alone is not None and alone not in names:
        near = did_you_mean(alone, names)
        raise ConfigError(f"--stage {alone}: there is none.{near} There are: {', '.join(names)}.")
    for wish, own in zip(config.stages, stage_configs(config), strict=True):
        changes: dict[str, Any] = {
            "run_dir": config.run_dir / wish.name,
            "data": own.data.model_copy(update={"cache": cache_folder(config)}),
        }
        before = stages[-1].run if stages else None
        there = alone is None or (before is not None and before.finished)
        if before is not None and there and "weights" not in wish.start:
            changes["start"] = own.start.model_copy(update={"weights": before.path})
        stages.append(_Stage(wish.name, own.model_copy(update=changes), tuple(stages)))
    return tuple(stages)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold the folder of all stages; one that holds anything else is not touched."""
    with alone_in(folder):
        if {path.name for path in folder.iterdir()} - {LOCK} and not (folder / SUMMARY).is_file():
            raise ConfigError(
                f"{folder}: the folder is not empty and holds no training in stages. "
                "Fix: choose another run_dir."
            )
        yield


def _train(stage: _Stage, *, bars: Bars, restart: bool, add: "Addition | None") -> Result:
    """Train the stage, or go on with it; a finished one is taken as it is."""
    run = stage.run
    if run.finished or (run.unfinished and not restart):
        _refuse_other_weights(stage)
    if run.finished:
        run.refuse_another(stage.config)
        table = read_table(run.table)
        return Result(page=run.page, dice=table.mean("dice"), cases=len(table.cases))
    # What the last stage still holds of a card would count in the plan of this one.
    gc.collect()
    return train_one(stage.config, bars=bars, restart=restart, add=_watched(stage, add))


def _watched(stage: _Stage, add: "Addition | None") -> "Addition":
    """What a system adds, once it is sure that no held-out case has been learned from."""
    from delineate.training import Additions  # brings Lightning

    def watched(lesson: "Lesson") -> Additions:
        _refuse_seen_cases(stage, {case.id for case in lesson.split.validation})
        return Additions() if add is None else add(lesson)

    return watched


def _refuse_seen_cases(stage: _Stage, held_out: set[str]) -> None:
    """Data that change between two stages may move a case across the split."""
    for one in stage.before if stage.carries else ():
        if not one.run.finished:
            continue
        learned = {case["id"] for case in one.run.read_json("cases.json")["training"]}
        if seen := sorted(learned & held_out):
            raise DataError(
                f"{stage.run.path}: {len(seen)} of the cases that are held out here, such as "
                f"{seen[0]}, taught stage '{one.name}', whose weights are carried over. "
                "Fix: bring the data back to what they were, or begin anew in another run_dir."
            )


def _refuse_other_weights(stage: _Stage) -> None:
    """A stage goes on, and is kept, only where it began with the weights that lie there now."""
    source, note = stage.carries, stage.run.start_table
    if source is None or not source.finished or not note.is_file():
        return
    if stage.run.read_json(note.name).get("sha256") != hash_file(source.weights):
        raise ConfigError(
            f"{stage.run.path}: this stage began with other weights than those in {source.path}. "
            f"Fix: remove {stage.run.path} to train it again, or choose another run_dir."
        )


def _write_summary(config: Config, stages: Sequence[_Stage]) -> None:
    """How far things are, for people and programs."""
    whole = RunFolder(config.run_dir)
    whole.write_json(SUMMARY, {"stages": [_summarise(stage) for stage in stages]})


def _summarise(stage: _Stage) -> dict[str, Any]:
    """The scores of a finished stage, its plan, and what it began with."""
    run, start = stage.run, stage.config.start.weights
    state = "finished" if run.finished else "unfinished" if run.unfinished else "waiting"
    entry: dict[str, Any] = {"name": stage.name, "state": state}
    if not run.finished:
        return entry
    table, plan = read_table(run.table), read_plan(run.plan)
    entry |= {"dice": table.mean("dice"), "cases": len(table.cases)}
    entry |= {"patch": plan.patch, "spacing": plan.spacing, "batch_size": plan.batch_size}
    if start is not None:
        entry["start"] = stage.before[-1].name if stage.carries else str(start)
    if start is not None and run.start_table.is_file():
        carried = run.read_json(run.start_table.name)
        entry["carried"] = {key: carried[key] for key in ("summary", "proof") if key in carried}
    return entry


def _publish(last: RunFolder, whole: RunFolder) -> Path:
    """Make the folder of all stages a run folder: whatever reads one finds the last stage there."""
    if whole.finished and filecmp.cmp(last.weights, whole.weights, shallow=False):
        return whole.page
    whole.page.unlink(missing_ok=True)
    for folder in (whole.states, whole.validation, whole.panels):
        shutil.rmtree(folder, ignore_errors=True)
    for file in sorted(last.path.rglob("*")):
        if file.is_file() and file.name not in (LOCK, last.page.name):
            link(file, whole.path / file.relative_to(last.path))
    return write_report(whole.path)
