"""What a service takes on before it says no."""

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds that hold whatever a client sends."""

    max_bytes: int = 2_000_000_000
    """Of one upload, and of one scan once it is unpacked."""
    timeout_s: float = 600.0
    """How long an upload may take, and how long POST /predict waits for its mask."""
    waiting: int = 8
    """Scans that may arrive or wait while one is predicted; one more is refused."""
    kept_s: float = 3600.0
    """How long the mask of a finished job lies ready."""
    kept: int = 64
    """Finished jobs that lie ready; beyond, the oldest goes."""
