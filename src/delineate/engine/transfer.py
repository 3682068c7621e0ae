"""Weights of one network into another: matched, adapted where they do not fit, and accounted for.

`transfer` is a function of two sets of weights; `start_from` applies it to a network and a file.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from delineate.engine.adaptation import Ends, Place, Role, Unfit, fit
from delineate.engine.foreign_weights import Source, output_names, read_source
from delineate.engine.transfer_report import Report, Row
from delineate.engine.weight_matching import match_names, match_order
from delineate.errors import DataError
from delineate.labels import Labels
from delineate.models import DFormer, inflate_2d

__all__ = ["start_from", "transfer"]

LEAST = 0.1
"""The share of a network's numbers that a start must bring; less is no start but a mistake."""
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_HEAD = re.compile(r"(^|[._])(heads?|seg\w*|fc|class\w*|out\w*|final\w*|predict\w*)([._]|\d|$)")


def start_from(
    network: nn.Module, path: Path, *, channels: tuple[str, ...], labels: Labels
) -> Report:
    """Put what fits of a file's weights into the network, and say what became of each.

    A file that brings less than a tenth of the network is a DataError, and the network is left as
    it was. See `foreign_weights` for what files are read.
    """
    source = read_source(path)
    own = network.state_dict()
    if isinstance(network, DFormer):
        source = replace(source, state=inflate_2d(source.state, own))
    transposed = {
        f"{name}.weight" for name, part in network.named_modules() if isinstance(part, _TRANSPOSED)
    }
    ends = Ends(channels=channels, classes=output_names(labels))
    try:
        filled, report = transfer(own, source, ends=ends, transposed=transposed)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    network.load_state_dict(filled)
    return report


def transfer(
    own: Mapping[str, Tensor], source: Source, *, ends: Ends, transposed: Collection[str] = ()
) -> tuple[dict[str, Tensor], Report]:
    """New weights for a network whose present ones are `own`, and what became of each.

    Args:
        transposed: the kernels of transposed convolutions, whose first axis is the input.
    """
    pairs = match_names(own, source.state)
    if _share(own, pairs) < LEAST:
        pairs = match_order(own, source.state) or pairs
    filled = dict(own)
    rows: list[Row] = []
    roles = _roles(own, pairs, source.state, ends)
    for name, weight in own.items():
        role = Role(place=roles.get(name, "inner"), transposed=name in transposed)
        filled[name], row = _place(name, weight, pairs.get(name), source, role=role, ends=ends)
        rows.append(row)
    rows = _without_biases(filled, rows, source.state)
    rows += _unused(source.state, {row.source for row in rows})
    report = Report(source=source.kind, rows=tuple(rows), notes=source.notes)
    if report.share("loaded", "adapted") < LEAST:
        raise DataError(_too_little(own, source, report))
    return filled, report


def _place(
    name: str, own: Tensor, partner: str | None, source: Source, *, role: Role, ends: Ends
) -> tuple[Tensor, Row]:
    """The weight that this place of the network gets, and the line about it."""
    shape = tuple(own.shape)
    if partner is None:
        return own, Row(name=name, source=None, status="left", shape=shape)
    try:
        weight, how = fit(own, source.state[partner], role, ours=ends, theirs=source.ends)
    except Unfit as why:
        row = Row(name=name, source=partner, status="skipped", shape=shape, note=str(why))
        return own, row
    if not torch.isfinite(weight).all():
        raise DataError(
            f"'{partner}' holds values that are no numbers: the training behind it diverged. "
            "Fix: take an earlier checkpoint."
        )
    status = "adapted" if how else "loaded"
    return weight, Row(name=name, source=partner, status=status, shape=shape, note=how)


def _roles(
    own: Mapping[str, Tensor], pairs: Mapping[str, str], source: Mapping[str, Tensor], ends: Ends
) -> dict[str, Place]:
    """The weights that read the image and those that give the classes; all others are inner.

    The first kernel with as many inputs as the image has channels reads it, and so does any other
    whose inputs are as many and differ in the same way. Heads are the kernels of size 1 with an
    output per class that are called so or come last.
    """
    kernels = [name for name, weight in own.items() if weight.dim() > 1]
    roles: dict[str, Place] = {}
    inputs: tuple[int, int] | None = None
    for name in kernels:
        if own[name].dim() < 3 or name not in pairs or source[pairs[name]].dim() < 2:
            continue
        here, there = own[name].shape[1], source[pairs[name]].shape[1]
        if inputs is None and here == len(ends.channels or range(here)):
            inputs = (here, there)
            roles[name] = "first"
        elif inputs == (here, there) and here != there:
            roles[name] = "first"
    for name in kernels:
        fits = len(own[name]) == len(ends.classes or own[name]) and own[name][0, 0].numel() == 1
        if fits and (name == kernels[-1] or _HEAD.search(f"{name} {pairs.get(name, '')}")):
            roles[name] = roles[name.removesuffix("weight") + "bias"] = "head"
    return roles


def _without_biases(
    filled: dict[str, Tensor], rows: list[Row], source: Mapping[str, Tensor]
) -> list[Row]:
    """A layer that has no bias in the file gets a bias of zero, so that it computes the same."""
    origin = {row.name: row.source for row in rows if row.status in ("loaded", "adapted")}
    changed = []
    for row in rows:
        layer, _, leaf = str(row.name).rpartition(".")
        theirs = origin.get(f"{layer}.weight") or ""
        bare = theirs in source and theirs.removesuffix("weight") + "bias" not in source
        if row.status == "left" and leaf == "bias" and bare and source[theirs].dim() > 1:
            filled[f"{layer}.bias"] = torch.zeros_like(filled[f"{layer}.bias"])
            row = replace(row, status="adapted", note="none in the file: 0")
        changed.append(row)
    return changed


def _unused(source: Mapping[str, Tensor], used: set[str | None]) -> list[Row]:
    """Weights of the file without a place; another name of one that has been met is left out."""
    met = {id(source[name]) for name in used if name is not None}
    rows = []
    for name, weight in source.items():
        if id(weight) not in met:
            met.add(id(weight))
            rows.append(
                Row(
                    name=None,
                    source=name,
                    status="skipped",
                    shape=tuple(weight.shape),
                    note="no place in the network",
                )
            )
    return rows


def _share(own: Mapping[str, Tensor], names: Collection[str]) -> float:
    return sum(own[name].numel() for name in names) / max(1, sum(w.numel() for w in own.values()))


def _too_little(own: Mapping[str, Tensor], source: Source, report: Report) -> str:
    """Why this is no start, with names of both sides to compare."""
    misfit = next((row for row in report.rows if row.name and row.status == "skipped"), None)
    why = f"'{misfit.name}' is {misfit.note}" if misfit else "the names and shapes are others"
    return (
        f"{source.kind}, but only {100 * report.share('loaded', 'adapted'):.1f} % of this "
        f"network's numbers would come from it: {why}.\n"
        f"  The file begins with {', '.join(list(source.state)[:3])};\n"
        f"  the network with {', '.join(list(own)[:3])}.\n"
        "  Fix: set `model` and `plan` to the network of the file, or leave out start.weights."
    )
