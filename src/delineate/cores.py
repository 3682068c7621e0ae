"""How many processors there are to work with."""

import os

__all__ = ["usable_cores"]


def usable_cores() -> int:
    """Those that this process may use, which under a scheduler are fewer than the machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
