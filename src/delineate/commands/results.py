"""What models and masks are worth."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from delineate.commands.arguments import Figures
from delineate.errors import ConfigError

__all__ = ["app"]

app = typer.Typer()

Challenges = Annotated[
    Literal["atlas", "atlas-published"] | None,
    typer.Option("--challenge", help="A challenge's scores besides, corrected or as published."),
]
Overlaps = Annotated[
    Literal["share", "iou"],
    typer.Option("--lesion-overlap", help="What of a lesion must be found."),
]
Surfaces = Annotated[
    Literal["voxels", "elements"],
    typer.Option("--surface", help="MONAI's surface, or surface-distance's."),
]


@app.command()
def evaluate(
    prediction: Annotated[Path, typer.Argument(help="A folder of predicted masks.")],
    truth: Annotated[Path, typer.Argument(help="A folder of true masks, or a data set.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The table.")] = Path("table.csv"),
    metrics: Annotated[
        str,
        typer.Option(help="Of overlap, volume, surface, lesions, presence, hierarchy; or all."),
    ] = "overlap,volume,surface",
    tolerance: Annotated[
        list[str] | None,
        typer.Option(help="mm of surface Dice and boundary F1, or CLASS=MM, once per class."),
    ] = None,
    surface: Surfaces = "voxels",
    connectivity: Annotated[int, typer.Option(help="What hangs together as a lesion.")] = 26,
    lesion_overlap: Overlaps = "share",
    lesion_least: Annotated[
        float, typer.Option(min=0, max=1, help="How much of it; at 0 one voxel is enough.")
    ] = 0.0,
    one_to_one: Annotated[
        bool, typer.Option("--one-to-one", help="A lesion finds no more than one other.")
    ] = False,
    smallest_mm3: Annotated[float, typer.Option(min=0, help="Smaller lesions are left out.")] = 0.0,
    challenge: Challenges = None,
    probabilities: Annotated[
        Path | None, typer.Option(help="A folder of probabilities: is the model calibrated?")
    ] = None,
    scores: Annotated[
        Path | None,
        typer.Option(help="A CSV of case, class, score: how sure that the class is there."),
    ] = None,
) -> None:
    """Compare masks with the truth, case by case and class by class."""
    from delineate.console import show_presence, show_scores, showing_progress
    from delineate.metrics import LesionRule, Measures, judge_presence, read_table
    from delineate.metrics.measures import GROUPS
    from delineate.run import evaluate as run_evaluation

    rule = LesionRule(
        connectivity=connectivity,
        overlap=lesion_overlap,
        least=lesion_least,
        one_to_one=one_to_one,
        smallest_mm3=smallest_mm3,
    )
    measures = Measures(
        groups=GROUPS if metrics == "all" else tuple(name.strip() for name in metrics.split(",")),
        tolerance_mm=_tolerances(tolerance or []),
        surface=surface,
        lesions=rule,
        challenge=challenge,
    )
    with showing_progress() as bars:
        table = run_evaluation(
            prediction, truth, out, measures=measures, probabilities=probabilities, bars=bars
        )
    show_scores(table)
    if "presence" in measures.groups:
        show_presence(judge_presence(table, None if scores is None else read_table(scores)))
    typer.echo(f"Table: {out}")


@app.command()
def compare(
    tables: Annotated[
        list[Path], typer.Argument(help="Tables (CSV) or folders of runs, on the same cases.")
    ],
    metric: Annotated[str, typer.Option(help="A column of the tables.")] = "dice",
    by: Annotated[
        Literal["case", "class"], typer.Option(help="Means over classes, or each class, too.")
    ] = "case",
    groups: Annotated[
        Path | None, typer.Option(help="A CSV with a column case, and columns to group by.")
    ] = None,
    json: Figures = None,
) -> None:
    """Say how much better a model is on the same cases, and how sure that is.

    Two tables are tested in pairs, more are ranked, and a single one is looked at in subgroups.
    """
    from json import dumps

    from delineate.console import show_comparison
    from delineate.io import atomic_path
    from delineate.metrics import compare_tables, read_patients, read_strata, read_tables

    found = compare_tables(
        read_tables(tables),
        metric,
        by_class=by == "class",
        strata=None if groups is None else read_strata(groups),
        patients={case: owner for table in tables for case, owner in read_patients(table).items()},
    )
    show_comparison(found)
    if json is not None:
        with atomic_path(json) as part:
            part.write_text(dumps(found.to_json(), indent=1), encoding="utf-8")


def _tolerances(given: list[str]) -> float | dict[str, float] | None:
    """One number for all classes, or CLASS=MM each."""
    if not given:
        return None
    try:
        if len(given) == 1 and "=" not in given[0]:
            return float(given[0])
        pairs = [text.rpartition("=") for text in given]
        return {name: float(mm) for name, _, mm in pairs}
    except ValueError:
        raise ConfigError(
            f"--tolerance {' '.join(given)}: neither a number of mm nor CLASS=MM."
        ) from None
