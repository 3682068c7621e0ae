"""Work for a cluster's queue."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from delineate.errors import ConfigError

if TYPE_CHECKING:
    from delineate.cluster import Job

__all__ = ["app"]

app = typer.Typer()

LEARNING = ("train", "crossval", "profile")
"""Commands of a recipe and its keys: what is wrong with those is said before the queue."""


@app.command()
def submit(
    context: typer.Context,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE [KEY=VALUE]...",
            help="What is trained; or, after --, any command of ours with its arguments.",
        ),
    ],
    time: Annotated[
        str, typer.Option(help="The limit of one life of the job: minutes, HH:MM:SS, D-HH:MM:SS.")
    ],
    partition: Annotated[str | None, typer.Option(help="By default the cluster's own.")] = None,
    gpus: Annotated[str, typer.Option(help="0 or 1, or a kind and 1, such as a100:1.")] = "1",
    cpus: Annotated[int, typer.Option(min=1, help="Processors, for readers and scoring.")] = 8,
    nodes: Annotated[int, typer.Option(min=1, help="1: a command runs on one machine.")] = 1,
    array: Annotated[
        Literal["folds"] | None,
        typer.Option(help="folds: a job for each, side by side, and one that pools their scores."),
    ] = None,
    environment: Annotated[
        Path | None,
        typer.Option(help="Lines put before the command, and further #SBATCH lines."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the script; write and submit nothing.")
    ] = False,
) -> None:
    """Hand a training, or any other command, to SLURM; what is interrupted goes on."""
    from delineate.cluster import Request, hand_in, write_script

    if nodes > 1:
        raise ConfigError(
            f"--nodes {nodes}: a training runs on one GPU of one machine, so that a run ends in "
            "the same weights wherever it is continued, and no other command uses more either. "
            "Fix: leave --nodes out; `--array folds` trains the folds on as many machines as are "
            "free."
        )
    request = Request(
        time=time,
        partition=partition,
        gpus=gpus,
        cpus=cpus,
        environment="" if environment is None else environment.read_text(encoding="utf-8"),
    )
    jobs = _jobs(context, words, by_fold=array == "folds")
    if dry_run:
        typer.echo("\n".join(write_script(job, request) for job in jobs), nl=False)
        return
    before = None
    for job in jobs:
        number = hand_in(job, request, after=before)
        after = "" if before is None else f", after job {before}"
        folds = f", folds {', '.join(map(str, job.folds))}" if job.folds else ""
        typer.echo(f"Job {number}: {job.script}{folds}{after}")
        before = number


def _jobs(context: typer.Context, words: list[str], *, by_fold: bool) -> "list[Job]":
    """The jobs that the words ask for; a mistake in them is found here and not in the queue."""
    from delineate.cluster import Job, fold_jobs
    from delineate.config import check_parts, load_config, stage_configs

    assert context.parent is not None
    commands: Any = context.parent.command
    if words[0] not in commands.commands:
        words = ["train", *words]
    name, *rest = words
    if name == "submit":
        raise ConfigError("a job that submits is none of ours. Fix: submit the command itself.")
    if by_fold and name != "train":
        raise ConfigError(f"--array folds: trains a recipe, and `{name}` is another command.")
    # The words as they will be read, without running the command; those of folds by both.
    readers = (name, "crossval") if by_fold else (name,)
    given, *_ = [
        commands.commands[reader].make_context(reader, [*rest], parent=context.parent).params
        for reader in readers
    ]
    if given.get("restart"):
        raise ConfigError(
            "--restart: each life of the job would begin anew. Fix: remove the run folder, or "
            "choose another run_dir."
        )
    if name not in LEARNING:
        return [Job.of(words, name)]
    config = load_config(given["recipe"], given["overrides"] or [])
    for whole in (config, *stage_configs(config)):
        check_parts(whole)
    if not by_fold:
        return [Job.of(words, config.run_dir.name)]
    from delineate.crossval import fold_configs

    return fold_jobs(rest, fold_configs(config))
