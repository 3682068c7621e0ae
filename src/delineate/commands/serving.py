"""A model behind HTTP."""

from pathlib import Path
from typing import Annotated

import typer

from delineate.commands.arguments import Device, MemoryGb, Trusted

__all__ = ["app"]

app = typer.Typer()


@app.command()
def serve(
    model: Annotated[
        Path, typer.Argument(help="A package, the folder of a training, or a cascade.yaml.")
    ],
    host: Annotated[
        str, typer.Option(help="The address to listen on; by default this machine alone.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 is any free one.")] = 8000,
    memory_gb: MemoryGb = None,
    device: Device = "auto",
    max_mb: Annotated[
        int, typer.Option(min=1, help="The largest upload, and the largest scan unpacked.")
    ] = 2000,
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds for an upload, and for the mask at once.")
    ] = 600,
    trust: Trusted = None,
) -> None:
    """Take scans over HTTP and answer with their masks and volumes."""
    from delineate.serve import Limits, Service, require_packages
    from delineate.serve import serve as run_service

    require_packages()
    from delineate.engine.hardware import choose_device
    from delineate.package.predictor import card_of, read_predictor

    chosen = choose_device(device)
    service = Service(
        predictor=read_predictor(model, trust=tuple(trust or ())).to(chosen),
        name=model.name,
        card=card_of(model),
        memory_gb=memory_gb,
        device=chosen,
        limits=Limits(max_bytes=max_mb * 1_000_000, timeout_s=timeout),
    )
    run_service(service, host=host, port=port)
