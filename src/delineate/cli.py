"""Every command. A mistake that a user can mend is one message on stderr and exit code 2."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from delineate import __version__
from delineate.errors import ConfigError, DelineateError

__all__ = ["app", "main"]

app = typer.Typer(
    name="delineate",
    help="Trains, checks and runs medical image segmentation models.",
    epilog="Research software: not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
recipes_app = typer.Typer(help="The recipes that come with the package.", no_args_is_help=True)
app.add_typer(recipes_app, name="recipes")

Data = Annotated[Path, typer.Argument(help="The folder of the data set, or a table of its files.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...", help="Keys of the recipe, such as train.budget=10min."
    ),
]
Recipe = Annotated[str, typer.Option("--recipe", "-r", help="A recipe by name, or a YAML file.")]


def main() -> None:
    """Run the command line."""
    # A user's own network or loss, by import path; last, so that it hides no package.
    sys.path.append(str(Path.cwd()))
    try:
        app()
    except DelineateError as error:
        typer.secho(str(error), err=True)
        raise SystemExit(2) from None
    except OSError as error:
        if error.filename is None:
            raise
        typer.secho(f"{error.filename}: {error.strerror}.", err=True)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        typer.secho("Stopped.", err=True)
        raise SystemExit(130) from None


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True)
    ] = False,
) -> None:
    """Trains, checks and runs medical image segmentation models."""
    if show:
        typer.echo(f"delineate {__version__}")
        raise typer.Exit


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where the scans and the run go.")] = Path("demo"),
    budget: Annotated[str, typer.Option(help="How long to train.")] = "75s",
) -> None:
    """Make synthetic scans, train on them, and show the result on a page."""
    from delineate.console import showing_progress
    from delineate.demonstration import demonstrate

    with showing_progress() as bars:
        result = demonstrate(folder, budget=budget, bars=bars)
    typer.echo(f"Mean Dice on {result.cases} held-out cases: {result.dice:.3f}")
    typer.echo(f"Report: {result.page}")


@app.command()
def synth(
    kind: Annotated[
        str, typer.Argument(help="organs, heart, lesions, nuclei, slices or structures.")
    ],
    out: Annotated[Path, typer.Argument(help="An empty or new folder.")],
    cases: Annotated[int, typer.Option(help="How many.")] = 20,
    shape: Annotated[str | None, typer.Option(help="Voxels, such as 64,64,64.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same scans.")] = 0,
    layout: Annotated[str | None, typer.Option(help="nnunet, msd, bids, folders or hdf5.")] = None,
) -> None:
    """Make a seeded data set of synthetic scans with known truth."""
    from delineate.datasets import synthesise

    size = None if shape is None else _sizes(shape)
    root = synthesise(kind, out, cases=cases, shape=size, seed=seed, layout=layout)
    typer.echo(f"{cases} cases in {root}")


@app.command()
def doctor(
    data: Data,
    json: Annotated[Path | None, typer.Option(help="Write all findings and facts here.")] = None,
    fix: Annotated[Path | None, typer.Option(help="Write a repaired copy to this folder.")] = None,
    layout: Annotated[
        str, typer.Option(help="The layout, where it is not to be guessed.")
    ] = "auto",
    group: Annotated[str | None, typer.Option(help="A regex whose group is the patient.")] = None,
) -> None:
    """Find what is wrong with a data set; exit code 1 when something must be mended."""
    from json import dumps

    from delineate.console import show_examination, showing_progress
    from delineate.datasets import examine, read_dataset, repair
    from delineate.io import atomic_path

    dataset = read_dataset(data, layout=layout, group=group)
    with showing_progress() as bars:
        found = examine(dataset, progress=bars.track)
    show_examination(found)
    if json is not None:
        with atomic_path(json) as part:
            part.write_text(dumps(found.to_json(), indent=1), encoding="utf-8")
    if fix is not None:
        for change in repair(dataset, found, fix):
            typer.echo(change)
        typer.echo(f"Repaired copy: {fix}")
    raise typer.Exit(1 if found.errors else 0)


@app.command()
def plan(
    data: Data,
    overrides: Overrides = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the plan goes.")] = Path(
        "plan.json"
    ),
    memory_gb: Annotated[float | None, typer.Option(help="Memory that a step may use.")] = None,
    recipe: Recipe = "starter",
) -> None:
    """Work out spacing, patch, batch and network from the data and the machine."""
    from delineate.config import load_config
    from delineate.console import show_plan, showing_progress
    from delineate.groundwork import plan_data
    from delineate.plan import write_plan

    wishes = [] if memory_gb is None else [f"plan.memory_gb={memory_gb}"]
    config = load_config(recipe, [*_paths(data), *wishes, *(overrides or ())])
    with showing_progress() as bars:
        made = plan_data(config, bars=bars)
    write_plan(made, out)
    show_plan(made)
    typer.echo(f"Plan: {out}")


@app.command()
def prepare(
    data: Data,
    overrides: Overrides = None,
    plan: Annotated[Path | None, typer.Option(help="A plan.json; none makes one.")] = None,
    cache: Annotated[Path, typer.Option(help="Where the prepared cases go.")] = Path("cache"),
    recipe: Recipe = "starter",
) -> None:
    """Crop, resample and normalise every case once, on the planned grid."""
    from delineate.config import load_config
    from delineate.console import showing_progress
    from delineate.groundwork import prepare_data

    keys = [f"data.cache={cache}"] + ([] if plan is None else [f"plan.file={plan}"])
    config = load_config(recipe, [*_paths(data), *keys, *(overrides or ())])
    with showing_progress() as bars:
        made = prepare_data(config, bars=bars)
    typer.echo(f"{len(made.cases)} cases in {made.folder}")


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe by name, or a YAML file.")],
    overrides: Overrides = None,
) -> None:
    """Train a model: from a folder of scans to a report."""
    from delineate.config import load_config
    from delineate.console import showing_progress
    from delineate.run import train as run_training

    config = load_config(recipe, overrides or [])
    with showing_progress() as bars:
        result = run_training(config, bars=bars)
    typer.echo(f"Mean Dice on {result.cases} held-out cases: {result.dice:.4f}")
    typer.echo(f"Report: {result.page}")


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="The folder of a finished training.")],
    scans: Annotated[list[Path], typer.Argument(help="Folders or files.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the masks go.")],
    flips: Annotated[
        bool, typer.Option(help="Average over mirrored copies: slower, steadier.")
    ] = False,
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        typer.Option(help="auto (a GPU where there is one), cpu or cuda."),
    ] = "auto",
) -> None:
    """Write one mask per scan, on the scan's own grid."""
    from delineate.console import showing_progress
    from delineate.run import predict as run_prediction

    with showing_progress() as bars:
        failures = run_prediction(run, scans, out, flips=flips, device=device, bars=bars)
    for failure in failures:
        typer.secho(str(failure), err=True)
    typer.echo(f"Masks: {out}")
    raise typer.Exit(2 if failures else 0)


@app.command()
def evaluate(
    prediction: Annotated[Path, typer.Argument(help="A folder of predicted masks.")],
    truth: Annotated[Path, typer.Argument(help="A folder of true masks, or a data set.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The table.")] = Path("table.csv"),
) -> None:
    """Compare masks with the truth, case by case and class by class."""
    from delineate.console import show_scores, showing_progress
    from delineate.run import evaluate as run_evaluation

    with showing_progress() as bars:
        table = run_evaluation(prediction, truth, out, bars=bars)
    show_scores(table)
    typer.echo(f"Table: {out}")


@app.command()
def report(run: Annotated[Path, typer.Argument(help="The folder of a training.")]) -> None:
    """Write the page that shows a training: curves, table, pictures."""
    from delineate.report import write_report

    typer.echo(f"Report: {write_report(run)}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of a recipe, for an editor to complete the YAML."""
    from json import dumps

    from delineate.config import json_schema

    typer.echo(dumps(json_schema(), indent=2))


@recipes_app.command("list")
def list_all() -> None:
    """Name every recipe and what it is for."""
    from delineate.config import list_recipes

    recipes = list_recipes()
    width = max(map(len, recipes))
    for name, purpose in recipes.items():
        typer.echo(f"{name.ljust(width)}  {purpose}")


@recipes_app.command("show")
def show_one(name: Annotated[str, typer.Argument(help="The name of a recipe.")]) -> None:
    """Print the YAML of a recipe, to start your own from."""
    from delineate.config import recipe_path

    typer.echo(recipe_path(name).read_text(encoding="utf-8"), nl=False)


def _paths(data: Path) -> list[str]:
    """The two keys that every recipe leaves open; a plan and a cache have no run."""
    return [f"data.root={data}", "run_dir=runs/none"]


def _sizes(text: str) -> tuple[int, ...]:
    """The numbers of '64,64,64' or '64x64x64'."""
    try:
        return tuple(int(size) for size in text.replace("x", ",").split(","))
    except ValueError:
        raise ConfigError(
            f"--shape: '{text}' is no list of whole numbers. Fix: write 64,64,64."
        ) from None
