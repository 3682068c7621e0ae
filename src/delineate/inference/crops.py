"""Windows cut out of a scan, stacked, and brought to the device; zeros beyond the scan's border."""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["Crops"]


class Crops:
    """Cuts windows out of one scan; the next stack overwrites the last.

    Args:
        image: (c, *s), on the CPU or on `device`. It is not copied.
        patch: Voxels of a window.
        batch: The most windows in a stack.
        device: Where stacks are wanted. From the CPU to a card they go through one page-locked
            buffer, so that the card computes while the next stack is cut.
    """

    def __init__(
        self, image: Tensor, patch: Sequence[int], *, batch: int, device: torch.device
    ) -> None:
        self.image = image
        self.patch = tuple(patch)
        self.device = device
        self._sent: torch.cuda.Event | None = None
        locked = image.device.type == "cpu" and device.type == "cuda"
        self._stack = torch.zeros(
            (batch, len(image), *patch),
            dtype=image.dtype,
            device=image.device,
            pin_memory=locked,
        )
        self._hangs_over = any(n < p for n, p in zip(image.shape[1:], patch, strict=True))

    def stack(self, starts: Sequence[tuple[int, ...]]) -> Tensor:
        """The windows that begin there, (b, c, *patch), on the device."""
        if self._sent is not None:
            self._sent.synchronize()
        stack = self._stack[: len(starts)]
        if self._hangs_over:
            # Cleared each time: a network may write into what it is given.
            stack.zero_()
        for crop, start in zip(stack, starts, strict=True):
            source, target = self._shared(start)
            crop[(slice(None), *target)] = self.image[(slice(None), *source)]
        if stack.device == self.device:
            return stack
        found = stack.to(self.device, non_blocking=True)
        self._sent = torch.cuda.Event()
        self._sent.record(torch.cuda.current_stream(self.device))
        return found

    def _shared(self, start: tuple[int, ...]) -> tuple[list[slice], list[slice]]:
        """What window and scan share, as slices of the scan and of the window."""
        source, target = [], []
        for a, p, n in zip(start, self.patch, self.image.shape[1:], strict=True):
            low, high = max(a, 0), min(a + p, n)
            source.append(slice(low, high))
            target.append(slice(low - a, high - a))
        return source, target
