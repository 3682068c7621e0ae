"""From prepared scans to models and masks."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from delineate.commands.arguments import Device, Figures, MemoryGb, Overrides, Trusted, Wanted

__all__ = ["app"]

app = typer.Typer()

Combining = Literal["probabilities", "logits", "vote", "staple"]


@app.command()
def train(
    recipe: Wanted,
    overrides: Overrides = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin an unfinished run anew, from step 0.")
    ] = False,
    stage: Annotated[
        str | None, typer.Option(help="One of the stages that the recipe declares, alone.")
    ] = None,
) -> None:
    """Train a model: from a folder of scans to a report; what was stopped goes on."""
    from delineate.config import load_config
    from delineate.console import showing_progress
    from delineate.stages import train as run_training

    config = load_config(recipe, overrides or [])
    with showing_progress() as bars:
        result = run_training(config, bars=bars, stage=stage, restart=restart)
    typer.echo(f"Mean Dice on {result.cases} held-out cases: {result.dice:.4f}")
    typer.echo(f"Report: {result.page}")


@app.command()
def profile(
    recipe: Wanted,
    overrides: Overrides = None,
    steps: Annotated[int, typer.Option(min=1, help="How many are timed.")] = 20,
    trace: Annotated[Path | None, typer.Option(help="Write a Chrome trace of a few here.")] = None,
    json: Figures = None,
) -> None:
    """Say where the time of a training step goes, what binds it, and what would help."""
    from json import dumps

    from delineate.config import load_config

    config = load_config(recipe, overrides or [])
    # Lightning takes seconds to import: not before the recipe is found to be right.
    from delineate.console import show_profile, showing_progress
    from delineate.engine.verdict import to_json
    from delineate.io import atomic_path
    from delineate.profiling import profile_training

    with showing_progress() as bars:
        made = profile_training(config, steps=steps, trace=trace, bars=bars)
    show_profile(made)
    if json is not None:
        with atomic_path(json) as part:
            part.write_text(dumps(to_json(made), indent=1), encoding="utf-8")


@app.command()
def crossval(
    recipe: Wanted,
    overrides: Overrides = None,
) -> None:
    """Train every fold, so that each case is scored once by a network that has not seen it."""
    from delineate.config import load_config
    from delineate.console import show_scores, showing_progress
    from delineate.crossval import cross_validate
    from delineate.stages import train as train_stages

    config = load_config(recipe, overrides or [])
    one = train_stages if config.stages else None
    with showing_progress() as bars:
        table = cross_validate(config, bars=bars, train_fold=one)
    show_scores(table)
    typer.echo(f"Table: {config.run_dir / 'table.csv'}")


@app.command()
def predict(
    model: Annotated[
        Path,
        typer.Argument(help="A training, a cross-validation, a package or a cascade.yaml."),
    ],
    scans: Annotated[list[Path], typer.Argument(help="Folders or files.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the masks go.")],
    beside: Annotated[
        list[Path] | None,
        typer.Option("--with", help="Another model, of whatever plan, that answers with it."),
    ] = None,
    suffix: Annotated[
        str | None, typer.Option(help="Format of the masks, such as .nrrd, .h5, .png or .dcm.")
    ] = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Write those of every class too.")
    ] = False,
    uncertainty: Annotated[
        bool, typer.Option("--uncertainty", help="Write how unsure the model is, voxel by voxel.")
    ] = False,
    flips: Annotated[
        bool | None,
        typer.Option("--flips/--no-flips", help="Average over mirrored copies: slower, steadier."),
    ] = None,
    overlap: Annotated[
        float | None, typer.Option(min=0, max=0.95, help="Of neighbouring windows.")
    ] = None,
    combine: Annotated[
        Combining | None, typer.Option(help="How several networks become one mask.")
    ] = None,
    post: Annotated[
        bool, typer.Option("--post/--no-post", help="Post-processing that was found to help.")
    ] = True,
    memory_gb: MemoryGb = None,
    device: Device = "auto",
    trust: Trusted = None,
) -> None:
    """Write one mask per scan, on the scan's own grid; a rerun does what is missing."""
    from delineate.console import showing_progress
    from delineate.inference import Outputs
    from delineate.predicting import Wishes
    from delineate.predicting import predict as run_prediction

    wishes = Wishes(
        beside=tuple(beside or ()),
        flips=flips,
        overlap=overlap,
        combine=combine,
        post=post,
        memory_gb=memory_gb,
        device=device,
        trust=tuple(trust or ()),
        outputs=Outputs(suffix=suffix, probabilities=probabilities, uncertainty=uncertainty),
    )
    with showing_progress() as bars:
        failures = run_prediction(model, scans, out, wishes=wishes, bars=bars)
    for failure in failures:
        typer.secho(str(failure), err=True)
    typer.echo(f"Masks: {out}")
    raise typer.Exit(2 if failures else 0)
