"""Gradients of a whole batch in the memory there is: in parts, where the whole does not fit.

The engine's forward and backward pass of a step. Where memory runs out, the same batch is done in
halves, quarters, ... down to single samples, then with activations recomputed in the backward
pass; that is remembered for the steps that follow. The parts' terms are averaged by their number of
samples: for a loss that is a mean over samples this is the gradient of the whole batch up to
rounding; one that couples the samples (batch Dice, batch normalisation, a mean over the voxels that
are not ignored) becomes that of smaller batches.
"""

import logging
from collections.abc import Callable
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any, cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from delineate.contracts import Batch, Target
from delineate.errors import PlanError

__all__ = ["MicroBatches", "split"]

log = logging.getLogger("delineate")

Terms = dict[str, Tensor]
Compute = Callable[[Batch], Terms]
"""The named terms of the loss of a batch, with their graph."""

SIGNS = ("out of memory", "not enough memory", "can't allocate memory", "alloc_failed")
"""How PyTorch says it where it has no exception of its own for it."""


class MicroBatches(Callback):
    """Differentiates the loss of a batch in as many parts as memory asks for."""

    def __init__(self) -> None:
        self.parts = 1
        self.checkpointing = False
        self.scaler: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the loss scaler of fp16, whose factor keeps small gradients from vanishing."""
        self.scaler = getattr(trainer.precision_plugin, "scaler", None)

    def differentiate(
        self, compute: Compute, batch: Batch, network: nn.Module
    ) -> tuple[Tensor, Terms]:
        """The loss, whose backward pass hands out gradients that are known, and its terms.

        A batch of which a single sample does not fit, even with checkpointing, is a PlanError.
        """
        if self.checkpointing:  # a resumed run knows that it is needed
            _set_checkpointing(network)
        while True:
            weights = [p for p in network.parameters() if p.requires_grad]
            done = self._attempt(compute, batch, weights)
            if done is not None:
                return done
            _release(batch.image.device)
            self._take_less(batch, network)

    def state_dict(self) -> dict[str, Any]:
        """What was found to be needed."""
        return {"parts": self.parts, "checkpointing": self.checkpointing}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with it."""
        self.parts, self.checkpointing = state_dict["parts"], state_dict["checkpointing"]

    def _attempt(
        self, compute: Compute, batch: Batch, weights: list[nn.Parameter]
    ) -> tuple[Tensor, Terms] | None:
        """None where memory runs out: the exception, which holds the activations, is gone then."""
        scale = 1.0 if self.scaler is None else float(self.scaler.get_scale())
        gradients: list[Tensor | None] = [None] * len(weights)
        terms: Terms = {}
        try:
            for share, part in split(batch, self.parts):
                found = compute(part)
                total = torch.stack(list(found.values())).sum()
                _add(gradients, _gradients(total * (share * scale), weights))
                for name, term in found.items():
                    terms[name] = terms.get(name, 0) + share * term.detach()
        except Exception as error:
            if not _is_out_of_memory(error):
                raise
            return None
        value = torch.stack(list(terms.values())).sum()
        given = [(w, g) for w, g in zip(weights, gradients, strict=True) if g is not None]
        pairs = [tensor for pair in given for tensor in pair]
        return cast(Tensor, _Known.apply(value, scale, *pairs)), terms

    def _take_less(self, batch: Batch, network: nn.Module) -> None:
        size = len(batch.cases)
        where = f"step {batch.step}: out of memory with {-(-size // self.parts)} of "
        where += f"{size} samples of {_spell(batch.image.shape[1:])} at once{_figures(batch)}"
        if self.parts < size:
            self.parts = min(size, 2 * self.parts)
            log.warning(
                "%s; from here a batch goes through in %d parts whose gradients are added up",
                where,
                self.parts,
            )
        elif getattr(network, "checkpointing", None) is False:
            _set_checkpointing(network)
            self.checkpointing = True
            log.warning("%s; from here activations are recomputed in the backward pass", where)
        else:
            raise PlanError(
                f"{where}, the least there can be. Fix: a smaller plan.memory_gb or plan.patch, "
                "a smaller model, or free memory on the device."
            )


def split(batch: Batch, parts: int) -> list[tuple[float, Batch]]:
    """Batches of consecutive samples, with the share of all samples that each has."""
    size = len(batch.cases)
    if parts == 1:
        return [(1.0, batch)]
    bounds = [size * i // parts for i in range(parts + 1)]
    return [((b - a) / size, _slice(batch, slice(a, b))) for a, b in pairwise(bounds) if b > a]


def _slice(batch: Batch, some: slice) -> Batch:
    target = {
        entry.name: None if (value := getattr(batch.target, entry.name)) is None else value[some]
        for entry in fields(Target)
    }
    place = None if batch.place is None else batch.place[some]
    return replace(
        batch,
        image=batch.image[some],
        target=Target(**target),
        cases=batch.cases[some],
        place=place,
    )


class _Known(torch.autograd.Function):
    """A number whose gradients with respect to some weights are known: times `scale`, beside them.

    Whatever the trainer does to a loss - scaling it, dividing it among accumulated batches - works
    on it as on any other.
    """

    @staticmethod
    def forward(ctx: Any, value: Tensor, scale: float, *pairs: Tensor) -> Tensor:
        ctx.scale = scale
        ctx.gradients = [gradient.detach() for gradient in pairs[1::2]]
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        factor = outer[0] / ctx.scale
        found: list[Tensor | None] = [None, None]
        for gradient in ctx.gradients:
            found += [gradient.mul_(factor.to(gradient.dtype)), None]
        ctx.gradients = None
        return tuple(found)


def _gradients(loss: Tensor, weights: list[nn.Parameter]) -> tuple[Tensor | None, ...]:
    # Lightning's autocast is for the forward pass only; it is still on here.
    with torch.autocast(loss.device.type, enabled=False):
        return torch.autograd.grad(loss, weights, allow_unused=True)


def _add(sums: list[Tensor | None], more: tuple[Tensor | None, ...]) -> None:
    for i, gradient in enumerate(more):
        present = sums[i]
        if gradient is not None:
            sums[i] = gradient if present is None else present.add_(gradient)


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in text for sign in SIGNS)


def _release(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _set_checkpointing(network: nn.Module) -> None:
    network.checkpointing = True  # type: ignore[assignment] # an attribute, where there is one


def _figures(batch: Batch) -> str:
    """How much there is on a card; PyTorch cannot tell for a CPU."""
    if batch.image.device.type != "cuda":
        return ""
    free, total = torch.cuda.mem_get_info(batch.image.device)
    return f" ({(total - free) / 2**30:.1f} of {total / 2**30:.1f} GB are taken)"


def _spell(shape: torch.Size) -> str:
    return "x".join(str(size) for size in shape)
