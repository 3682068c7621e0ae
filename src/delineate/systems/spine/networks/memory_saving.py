"""Gradient checkpointing: stages whose inner tensors are made again in the backward pass."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from delineate.errors import ConfigError
from delineate.models import PlainUNet, ResNet

__all__ = ["save_memory"]


def save_memory(network: nn.Module) -> None:
    """Let a network keep less of a step, for more time; one that cannot is a ConfigError."""
    network = getattr(network, "network", network)
    if isinstance(getattr(network, "checkpointing", None), bool):
        network.checkpointing = True  # type: ignore[assignment]
    elif isinstance(network, PlainUNet):
        for stage in (*network.encoder, *network.decoder):
            _recompute(stage)
    elif isinstance(network, ResNet):
        for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
            _recompute(stage)
    elif callable(getattr(network, "set_grad_checkpointing", None)):
        network.set_grad_checkpointing()  # type: ignore[operator]
    else:
        raise ConfigError(
            f"trainer.gradient_checkpointing: {type(network).__name__} cannot. Fix: leave it out, "
            "or give the network a method set_grad_checkpointing()."
        )


def _recompute(stage: nn.Module) -> None:
    inner: Callable[..., Any] = stage.forward

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _averages_kept(stage)

    def forward(*inputs: Any) -> Any:
        if not torch.is_grad_enabled():
            return inner(*inputs)
        return checkpoint(inner, *inputs, use_reentrant=False, context_fn=contexts)

    stage.forward = forward


@contextmanager
def _averages_kept(stage: nn.Module) -> Iterator[None]:
    """Batch normalisations move their running averages in the first pass only."""
    norms = [part for part in stage.modules() if hasattr(part, "running_mean")]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0  # type: ignore[assignment]
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            if isinstance(seen := getattr(norm, "num_batches_tracked", None), Tensor):
                seen -= 1
