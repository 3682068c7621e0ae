"""Pages and pictures of runs and masks."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from delineate.errors import DataError

__all__ = ["app"]

app = typer.Typer()


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of trainings.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="The page; without it, report.html in the run, or here for several."
        ),
    ] = None,
) -> None:
    """Write the page that shows a training, or sets several side by side."""
    from delineate.report import write_comparison, write_report

    if len(runs) == 1:
        page = write_report(runs[0], out)
    else:
        page = write_comparison(runs, out or Path("report.html"))
    typer.echo(f"Report: {page} ({page.stat().st_size / 1e6:.1f} MB)")


@app.command()
def plot(
    image: Annotated[Path, typer.Argument(help="A scan or a picture.")],
    prediction: Annotated[
        Path | None, typer.Option("--prediction", "-p", help="A predicted mask.")
    ] = None,
    truth: Annotated[Path | None, typer.Option("--truth", "-t", help="The true mask.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The PNG; without it, named as the scan.")
    ] = None,
    plane: Annotated[
        Literal["axial", "coronal", "sagittal", "all"], typer.Option(help="The planes.")
    ] = "all",
    place: Annotated[
        str, typer.Option("--slice", help="From 0, or auto: the one with the most foreground.")
    ] = "auto",
    labels: Annotated[
        Path | None, typer.Option(help="Names of the classes: a JSON file, such as dataset.json.")
    ] = None,
) -> None:
    """Draw one case as a PNG: the scan, the prediction, the truth and the errors."""
    from delineate.datasets.label_file import read_labels
    from delineate.io import stem
    from delineate.report.plot import write_plot
    from delineate.report.record import Scan

    if place != "auto" and not place.isdigit():
        raise DataError(f"--slice {place}: neither a number from 0 nor auto.")
    name = stem(image)
    scan = Scan(
        id=name,
        image=str(image),
        truth=str(truth) if truth else None,
        predictions={"prediction": prediction} if prediction else {},
    )
    known = read_labels(labels) if labels else None
    number = None if place == "auto" else int(place)
    target = out or Path(f"{name}.png")
    typer.echo(f"Plot: {write_plot(scan, target, labels=known, plane=plane, place=number)}")
