"""From trained runs to files for others."""

from collections.abc import Sized
from pathlib import Path
from typing import Annotated, Literal

import typer

from delineate.commands.arguments import Trusted
from delineate.errors import ConfigError

__all__ = ["app"]

app = typer.Typer()


@app.command()
def package(
    runs: Annotated[
        list[Path], typer.Argument(help="Run folders, that of a crossval, or a cascade.yaml.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file, such as model.zip.")],
    name: Annotated[str | None, typer.Option(help="What the card calls the model.")] = None,
    licence: Annotated[str | None, typer.Option(help="Under which others may use it.")] = None,
    use: Annotated[str | None, typer.Option(help="What it is meant for, in a sentence.")] = None,
    trust: Trusted = None,
) -> None:
    """Put a trained model into one file: weights, plan, card, and nothing that can run."""
    from delineate.console import showing_progress
    from delineate.package import Statement, package_runs
    from delineate.package.predictor import package_cascade

    said = {"name": name, "licence": licence, "intended_use": use}
    statement = Statement(**{key: value for key, value in said.items() if value is not None})
    trusted = tuple(trust or ())
    with showing_progress() as bars:
        if runs[0].suffix in (".yaml", ".yml"):
            cascade = package_cascade(
                _only(runs), out, statement=statement, trust=trusted, progress=bars.track
            )
            typer.echo(f"Package: {out} ({_counted(cascade.stages, 'stage')}, {_size(out)})")
            return
        model = package_runs(runs, out, statement=statement, trust=trusted, progress=bars.track)
    typer.echo(f"Package: {out} ({_counted(model.networks, 'network')}, {_size(out)})")
    if model.domain is None:
        typer.echo(
            "The training scans are no longer there: the model cannot warn of scans unlike them.",
            err=True,
        )


@app.command()
def export(
    model: Annotated[Path, typer.Argument(help="A package, or the folder of a training.")],
    to: Annotated[Literal["onnx", "torch", "monai"], typer.Option(help="For which program.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="model.onnx, model.pt2 or a folder.")],
    scan: Annotated[
        list[Path] | None,
        typer.Option(help="A scan to compare on, once per channel; a run has its own."),
    ] = None,
    trust: Trusted = None,
) -> None:
    """Write a model for ONNX, torch.export or MONAI, and compare it with the trained one."""
    from delineate.export import (
        export_bundle,
        export_onnx,
        export_program,
        first_scan,
        noise_sample,
        scan_sample,
    )
    from delineate.package import open_model

    loaded = open_model(model, trust=tuple(trust or ()))
    files = scan or first_scan(model)
    sample = scan_sample(files, loaded.plan) if files else noise_sample(loaded.plan)
    write = {"onnx": export_onnx, "torch": export_program, "monai": export_bundle}[to]
    difference = write(loaded, out, sample=sample)
    typer.echo(f"Difference: {difference}")
    typer.echo(f"Written: {out}")


def _only(paths: list[Path]) -> Path:
    if len(paths) > 1:
        raise ConfigError(f"{paths[0]}: a cascade is packed alone. Fix: name its file only.")
    return paths[0]


def _counted(things: Sized, noun: str) -> str:
    return f"{len(things)} {noun}" if len(things) == 1 else f"{len(things)} {noun}s"


def _size(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.1f} MB"
