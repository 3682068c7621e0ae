"""A trained network as the start of a larger one that computes the same, and the proof of it.

Net2Net, Chen et al., arXiv 1511.05641, with zeros in place of copies: the weights of the smaller
network take the leading channels of the larger one, what leads from new channels to those is zero,
and a piece that was not there adds nothing, as its `silencers` are zero (see
`models/hybrid_blocks.py`). What else is new keeps its fresh start, so that it can learn.

That holds for a network whose pieces name silencers. Between others, weights are carried where name
and shape agree (see `transfer`), which proves nothing: only the difference of the outputs says how
much of the function is left.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from delineate.contracts import Output
from delineate.engine.adaptation import Ends, spell
from delineate.engine.foreign_weights import Source
from delineate.engine.transfer import transfer
from delineate.engine.transfer_report import Report, Row
from delineate.errors import DataError
from delineate.models import as_output

__all__ = ["Growth", "grow", "largest_difference", "probe_image"]

SAME = 1e-4
"""Outputs that differ by no more than this part of the largest are the same but for rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What was carried from one network into another, and what that changed."""

    report: Report
    difference: float
    """The largest difference between the logits of the two on the probe."""
    scale: float
    """The largest logit of the smaller one there, without its sign."""

    @property
    def exact(self) -> bool:
        """Whether the function is the same but for rounding."""
        return self.difference <= SAME * self.scale

    @property
    def summary(self) -> str:
        """Counts, shares and the proof in one line."""
        proof = "the same function" if self.exact else "not the same function"
        return (
            f"{self.report.summary}; on a probe the logits, up to {self.scale:.3g}, differ by at "
            f"most {self.difference:.2g}: {proof}"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data: the proof, and the report with all its rows."""
        proof = {"difference": self.difference, "scale": self.scale, "exact": self.exact}
        return {**self.report.to_json(), "summary": self.summary, "proof": proof}


def grow(network: nn.Module, before: nn.Module, *, probe: Tensor) -> Growth:
    """Put the weights of `before`, of the same channels and labels, into a network.

    Weights that hold what is no number, or of which next to nothing fits, are a DataError, and the
    network is left as it was.

    Args:
        probe: an image (b, c, *s) that neither has to pad, as a deeper network pads to another
            size; see `probe_image`.
    """
    state = before.state_dict()
    own = network.state_dict()
    broken = next((n for n, w in state.items() if not torch.isfinite(w).all()), None)
    if broken is not None:
        raise DataError(
            f"'{broken}' of the smaller network holds values that are no numbers: its training "
            "diverged. Fix: train it again, at a lower rate."
        )
    if _can_grow(network, own, state):
        filled, report = _extend(network, own, state)
    else:
        transposed = {
            f"{name}.weight"
            for name, part in network.named_modules()
            if getattr(part, "transposed", False)
        }
        source = Source(state=state, kind="another network")
        filled, report = transfer(own, source, ends=Ends(), transposed=transposed)
    network.load_state_dict(filled)
    difference, scale = largest_difference(before, network, probe)
    return Growth(report=report, difference=difference, scale=scale)


def probe_image(channels: int, size: tuple[int, ...]) -> Tensor:
    """A picture of chance, the same at every call."""
    return torch.randn(1, channels, *size, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def largest_difference(before: nn.Module, after: nn.Module, probe: Tensor) -> tuple[float, float]:
    """Between the logits of two networks that do not train, and the largest of the first."""
    old, new = (_logits(network, probe) for network in (before, after))
    return float((old - new).abs().max()), float(old.abs().max())


def _logits(network: nn.Module, probe: Tensor) -> Tensor:
    """Of a network in evaluation mode, which it leaves as it was."""
    modes = [(part, part.training) for part in network.modules()]
    try:
        output: Output = as_output(network.eval()(probe), probe)
    finally:
        for part, training in modes:
            part.training = training
    logits = output.presence if output.logits is None else output.logits
    assert logits is not None, "a network returns logits"
    return logits


def _silencers(network: nn.Module) -> Iterator[str]:
    """The names of the weights that silence a piece."""
    for prefix, part in network.named_modules():
        for name in getattr(part, "silencers", ()):
            yield f"{prefix}.{name}" if prefix else name


def _can_grow(network: nn.Module, own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> bool:
    """Whether every weight of the smaller network has a place that is as large or larger."""
    return any(_silencers(network)) and all(
        name in own and _holds(own[name], weight) for name, weight in state.items()
    )


def _holds(own: Tensor, weight: Tensor) -> bool:
    """Whether only the output and input channels of a weight are more."""
    return (
        own.dim() == weight.dim()
        and own.shape[2:] == weight.shape[2:]
        and all(map(int.__ge__, own.shape, weight.shape))
    )


def _extend(
    network: nn.Module, own: Mapping[str, Tensor], state: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], Report]:
    """All weights of the larger network, and what became of each."""
    silencers = frozenset(_silencers(network))
    filled: dict[str, Tensor] = {}
    rows: list[Row] = []
    for name, fresh in own.items():
        origin, shape = state.get(name), tuple(fresh.shape)
        if origin is None:
            silent = name in silencers
            filled[name] = torch.zeros_like(fresh) if silent else fresh
            note = "0, so that its piece adds nothing" if silent else "fresh"
            rows.append(Row(name=name, source=None, status="left", shape=shape, note=note))
        elif origin.shape == fresh.shape:
            filled[name] = origin
            rows.append(Row(name=name, source=name, status="loaded", shape=shape))
        else:
            filled[name] = _widened(fresh, origin)
            note = f"widened from {spell(origin.shape)}"
            rows.append(Row(name=name, source=name, status="adapted", shape=shape, note=note))
    return filled, Report(source="the smaller network", rows=tuple(rows))


def _widened(fresh: Tensor, origin: Tensor) -> Tensor:
    """The origin in the leading channels, which take nothing from those that are new."""
    grown = fresh.clone()
    if grown.dim() > 1:
        grown[: len(origin), origin.shape[1] :] = 0
    grown[tuple(slice(n) for n in origin.shape)] = origin.to(grown.dtype)
    return grown
