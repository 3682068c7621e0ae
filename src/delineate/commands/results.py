"""What models and masks are worth."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer()


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
def compare(
    first: Annotated[Path, typer.Argument(help="A table.csv, or the folder of a run.")],
    second: Annotated[Path, typer.Argument(help="Another one, on the same cases.")],
    metric: Annotated[str, typer.Option(help="A column of the tables.")] = "dice",
) -> None:
    """Say by how much one model is better on the same cases, and how sure that is."""
    from delineate.metrics import compare as compare_tables
    from delineate.metrics import read_table

    typer.echo(str(compare_tables(read_table(first), read_table(second), metric)))


@app.command()
def report(run: Annotated[Path, typer.Argument(help="The folder of a training.")]) -> None:
    """Write the page that shows a training: curves, table, pictures."""
    from delineate.report import write_report

    typer.echo(f"Report: {write_report(run)}")
