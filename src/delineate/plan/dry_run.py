"""The memory of a training step, counted without doing it: operations run on shapes alone.

Every tensor that the forward and backward passes would allocate is entered in a ledger when it
appears and struck off when Python or autograd lets go of it; the peak is what the step needs.
Kernels' own scratch memory is not in it.
"""

import warnings
import weakref
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode

from delineate.plan.shape_rules import RULES

__all__ = ["Ledger", "build_dry", "dry_run", "tensors_of"]

LOSS_COPIES = 8
"""Dice and cross-entropy hold about eight fp32 tensors of the logits' size at their own peak."""


class Ledger(TorchDispatchMode):
    """While active, counts the bytes of all storages that are alive, and their peak."""

    def __init__(self, rules: Any = RULES) -> None:
        super().__init__()
        self.live = 0
        self.peak = 0
        self._rules = rules
        self._known: dict[int, weakref.ref[Any]] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # PyTorch would import its compiler only to keep it away from here.
        return False

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = self._rules.get(func, func)(*args, **(kwargs or {}))
        for tensor in tensors_of(result):
            self.enter(tensor)
        return result

    def enter(self, tensor: Tensor) -> None:
        """Count the tensor's storage until it is freed; views share one storage."""
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return

        def strike_off(_: object) -> None:
            self.live -= size
            del self._known[key]

        self._known[key] = weakref.ref(storage, strike_off)
        self.live += size
        self.peak = max(self.peak, self.live)


def tensors_of(value: Any) -> Iterable[Tensor]:
    """Every tensor in nested tuples, lists, mappings and dataclasses."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_of(item)
    elif isinstance(value, dict):
        yield from tensors_of(list(value.values()))
    elif is_dataclass(value):
        yield from tensors_of([getattr(value, f.name) for f in fields(value)])


def build_dry(build: Callable[[], nn.Module]) -> nn.Module:
    """The module without memory for its weights, unless it insists on looking at them."""
    try:
        with torch.device("meta"), Ledger(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return build()
    except Exception:  # whatever a foreign module raises: what is truly wrong is raised again here
        return build()


def dry_run(
    model: nn.Module, image: Tensor, target: Tensor, *, precision: torch.dtype = torch.float32
) -> int:
    """Peak bytes of one training step with AdamW; image and target are on the 'meta' device.

    In half precision the whole network runs in 16 bits beside a 32-bit master of its weights, as
    autocast does but for the few operations that it keeps in 32 bits.
    """
    weights = sum(p.numel() for p in model.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    halved = 2 * weights if precision.itemsize == 2 else 0  # gradients that become 32 bits
    optimizer = 4 * (3 * weights + frozen) + halved  # master weights and two moments
    # The update itself: gradients and one temporary of the weights' size, activations gone.
    update = optimizer + 4 * 2 * weights
    return max(optimizer + _passes(model, image, target, precision), update)


def _passes(model: nn.Module, image: Tensor, target: Tensor, precision: torch.dtype) -> int:
    """Peak bytes of activations and gradients in forward, loss and backward."""
    step = _Step(model)
    state = {name: _shape_of(p, precision) for name, p in step.named_parameters()}
    state |= {name: _shape_of(b, precision) for name, b in step.named_buffers()}
    ledger = Ledger()
    copies = (
        sum(t.numel() * t.element_size() for t in state.values()) if precision.itemsize == 2 else 0
    )
    with ledger, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ledger.enter(image)
        ledger.enter(target)
        functional_call(step, state, (image.to(precision),))
    return ledger.peak + copies


class _Step(nn.Module):
    """Forward, loss and backward in one call: what is recomputed must meet the same weights."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> None:
        output = self.model(image)
        results = [t for t in tensors_of(output) if t.requires_grad]
        held = [t.new_empty((LOSS_COPIES, *t.shape), dtype=torch.float32) for t in results]
        gradients = sum((t.sum() for t in results[1:]), results[0].sum())
        del held, output, results
        gradients.backward()


def _shape_of(tensor: Tensor, precision: torch.dtype) -> Tensor:
    kind = precision if tensor.is_floating_point() else tensor.dtype
    empty = torch.empty(tensor.shape, dtype=kind, device="meta")
    return empty.requires_grad_(tensor.requires_grad)
