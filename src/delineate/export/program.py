"""A network as torch.export sees it (.pt2): runs wherever PyTorch does, without `delineate`."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.export import Dim, ExportedProgram

from delineate.errors import ConfigError
from delineate.export.description import describe, write_description
from delineate.export.difference import Difference, measure, refuse_far
from delineate.export.scores import Scores, blank_example, refuse_suffix, scores_of
from delineate.export.windows import Sample
from delineate.inference.model import Model
from delineate.io import atomic_path
from delineate.plan import Plan

__all__ = ["export_program", "quietly", "save_program", "trace"]


def export_program(model: Model, out: Path, *, sample: Sample) -> Difference:
    """Write the network as .pt2 and its description as .json; the difference from eager.

    The batch may have any size, the window is the plan's. An export that differs beyond the
    tolerance is an ExportDiffers, and nothing is written.
    """
    refuse_suffix(out, ".pt2")
    scores = scores_of(model)
    with atomic_path(out) as part:
        difference = save_program(scores, model.plan, part, sample=sample, name=str(out))
    write_description(out, describe(model, scores, difference))
    return difference


def save_program(
    scores: Scores, plan: Plan, path: Path, *, sample: Sample, name: str
) -> Difference:
    """Write to `path`, read back from there, and compare; `name` is what messages call it."""
    program = trace(scores, plan)
    with quietly():
        torch.export.save(program, path)
        loaded = torch.export.load(path)
    difference = measure(scores, loaded.module(), sample.batches, sample.source)
    refuse_far(difference, name)
    return difference


def trace(scores: Scores, plan: Plan) -> ExportedProgram:
    """The graph of the network, for batches of any size; nothing in it tells of this machine."""
    with torch.no_grad(), quietly():
        try:
            program = torch.export.export(
                scores.network,
                (blank_example(plan),),
                dynamic_shapes={"image": {0: Dim("batch", min=1)}},
                strict=False,
            )
        except Exception as error:  # the tracer raises whatever a foreign network makes it raise
            first = str(error).strip().splitlines() or [""]
            raise ConfigError(
                f"torch.export cannot follow this network ({type(error).__name__}: {first[0]}). "
                "Fix: a network whose forward has no branches on values; or use the package."
            ) from error
    _forget_places(program)
    return program


@contextmanager
def quietly() -> Iterator[None]:
    """Warnings of the exporters are about their own insides."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _forget_places(program: ExportedProgram) -> None:
    """Each node remembers the source files, with their folders, that it came from."""
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop("stack_trace", None)
