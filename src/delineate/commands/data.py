"""From nothing to prepared scans."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from delineate.commands.arguments import Data, Overrides, Recipe
from delineate.errors import ConfigError

__all__ = ["app"]

app = typer.Typer()


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
        str,
        typer.Argument(
            help="organs, heart, lesions, nuclei, brainstem, slices, structures, liver or spine."
        ),
    ],
    out: Annotated[Path, typer.Argument(help="An empty or new folder.")],
    cases: Annotated[int, typer.Option(help="How many.")] = 20,
    shape: Annotated[str | None, typer.Option(help="Voxels, such as 64,64,64.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same scans.")] = 0,
    layout: Annotated[
        str | None, typer.Option(help="nnunet, msd, bids, folders, patients or hdf5.")
    ] = None,
) -> None:
    """Make a seeded data set of synthetic scans with known truth."""
    from delineate.datasets import synthesise

    size = None if shape is None else _sizes(shape)
    root = synthesise(kind, out, cases=cases, shape=size, seed=seed, layout=layout)
    typer.echo(f"{cases} cases in {root}")


@app.command()
def convert(
    data: Data,
    out: Annotated[Path, typer.Argument(help="An empty or new folder.")],
    layout: Annotated[Literal["hdf5"], typer.Option(help="What to write.")] = "hdf5",
    shape: Annotated[
        str | None, typer.Option(help="Voxels that every scan is resampled to, such as 64,64,64.")
    ] = None,
    source: Annotated[
        str, typer.Option("--from", help="The layout of DATA, where it is not to be guessed.")
    ] = "auto",
) -> None:
    """Write a data set as one HDF5 file a split: images, a mask for each structure, presence.

    The YAML of an experiment of ml_framework becomes a recipe instead.
    """
    if data.suffix.lower() in (".yaml", ".yml"):
        _convert_experiment(data, out)
        return
    from delineate.console import showing_progress
    from delineate.data.convert import convert_to_hdf5
    from delineate.datasets import read_dataset

    size = None if shape is None else _sizes(shape)
    dataset = read_dataset(data, layout=source)
    with showing_progress() as bars:
        counts = convert_to_hdf5(dataset, out, shape=size, progress=bars.track)
    found = ", ".join(f"{count} in {split}.h5" for split, count in counts.items())
    typer.echo(f"{out}: {found}")
    if left_out := len(dataset.cases) - sum(counts.values()):
        typer.echo(f"{left_out} cases without a mask were left out.")


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


def _paths(data: Path) -> list[str]:
    """The two keys that every recipe leaves open; a plan and a cache have no run."""
    return [f"data.root={data}", "run_dir=runs/none"]


def _convert_experiment(experiment: Path, recipe: Path) -> None:
    from delineate.systems.spine.schema.recipe import convert_experiment

    notes = convert_experiment(experiment, recipe)
    typer.echo(f"{recipe}: a recipe, for delineate train {recipe} data.root=DIR")
    for note in notes:
        typer.echo(f"  not carried over: {note}")


def _sizes(text: str) -> tuple[int, ...]:
    """The numbers of '64,64,64' or '64x64x64'."""
    try:
        return tuple(int(size) for size in text.replace("x", ",").split(","))
    except ValueError:
        raise ConfigError(
            f"--shape: '{text}' is no list of whole numbers. Fix: write 64,64,64."
        ) from None
