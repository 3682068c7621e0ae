"""What a network takes to predict one window, and what the process and the card hold."""

import threading
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import functional_call

from delineate.inference.sliding import Network
from delineate.plan.dry_run import Ledger
from delineate.plan.main_memory import measure_peak

__all__ = ["count_window", "held_bytes", "measure_window"]

_SECONDS_BETWEEN_LOOKS = 0.001
_UNKNOWN_PROCESS = 600_000_000
"""What a process with PyTorch holds, for systems that do not say."""


def count_window(network: Network, shape: tuple[int, ...]) -> int | None:
    """Bytes of all tensors at the peak of a prediction of (1, c, *patch), counted on shapes alone.

    None where that cannot be done: no module, or one that looks at its numbers. Scratch memory of
    kernels is not in it.
    """
    if not isinstance(network, nn.Module):
        return None
    named = [*network.named_parameters(), *network.named_buffers()]
    state = {name: _shape_of(tensor) for name, tensor in named}
    ledger = Ledger()
    try:
        with torch.no_grad(), warnings.catch_warnings(), ledger:
            warnings.simplefilter("ignore")
            functional_call(network, state, (torch.empty(shape, device="meta"),))
    except Exception:  # whatever a foreign module raises: it is then measured
        return None
    return ledger.peak


@torch.no_grad()
def measure_window(network: Network, shape: tuple[int, ...], device: torch.device) -> int:
    """Bytes at the peak of a prediction of zeros (1, c, *patch), measured while it is done.

    On a card that runs out, torch.OutOfMemoryError is raised.
    """
    window = torch.zeros(shape, device=device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        network(window)
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    if _resident() is None:
        ledger = Ledger(rules={})
        with ledger:
            network(window)
        return 2 * ledger.peak
    with _Watch() as watch:
        network(window)
    return watch.most


def held_bytes(device: torch.device) -> int:
    """What this process holds: main memory for a CPU, else the card's memory."""
    if device.type == "cuda":
        return torch.cuda.memory_reserved(device)
    resident = _resident()
    if resident is not None:
        return resident
    peak = measure_peak()
    return _UNKNOWN_PROCESS if peak is None else int(peak * 1e9)


class _Watch:
    """The most main memory that this process has gained while the watch was on."""

    def __init__(self) -> None:
        self._before = _resident() or 0
        self._most = self._before
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    @property
    def most(self) -> int:
        return self._most - self._before

    def __enter__(self) -> "_Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(_SECONDS_BETWEEN_LOOKS):
            self._most = max(self._most, _resident() or 0)


def _resident() -> int | None:
    """Bytes of main memory that this process holds; None where the system does not say."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[1]
    except OSError:
        return None
    import resource

    return int(pages) * resource.getpagesize()


def _shape_of(tensor: Tensor) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
