"""How many processors there are to work with, and how threads wait for each other on them."""

import os

__all__ = ["usable_cores", "wait_briefly"]

LOOKS = "10000"
"""How often a thread that waits looks again before it sleeps, some tens of microseconds."""


def usable_cores() -> int:
    """Those that this process may use, which under a scheduler are fewer than the machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def wait_briefly() -> None:
    """Let threads that wait go to sleep soon, unless the environment says how they wait.

    GNU's OpenMP, which does torch's arithmetic on Linux, looks 30 times as long: where another
    program works on a core of ours, the thread that waits then keeps the one it waits for from
    running. It reads this when torch is imported.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", LOOKS)
