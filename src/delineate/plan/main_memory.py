"""How much main memory this machine, or the control group we run in, has, and what we hold."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MainMemory", "count_memory_kills", "measure_memory", "measure_peak"]

_GROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True, kw_only=True)
class MainMemory:
    """GB that may be used at all, and GB of them that nobody holds."""

    total: float
    free: float

    @property
    def used(self) -> float:
        """GB that are held and cannot be given back at once."""
        return self.total - self.free


def measure_memory() -> MainMemory | None:
    """The tightest of the machine and our control groups; None where the system does not say."""
    meminfo = _numbers(Path("/proc/meminfo"))
    if not {"MemTotal:", "MemAvailable:"} <= meminfo.keys():
        return _of_the_system()
    total, free = meminfo["MemTotal:"] * 1024, meminfo["MemAvailable:"] * 1024
    for folder in _groups():
        limit = _number(folder, "memory.max", "memory.limit_in_bytes")
        used = _number(folder, "memory.current", "memory.usage_in_bytes")
        if limit is None or used is None:
            continue
        facts = _numbers(folder / "memory.stat")
        # Pages of files that nobody has touched lately are given back when they are needed.
        used -= facts.get("total_inactive_file", facts.get("inactive_file", 0))
        total, free = min(total, limit), min(free, limit - used)
    return MainMemory(total=total / 1e9, free=max(0, free) / 1e9)


def count_memory_kills() -> int:
    """A count that grows whenever the kernel kills a process of this machine for memory.

    A kill in a control group of ours counts there as well, for where the machine's are not shown.
    """
    files = [Path("/proc/vmstat")]
    for folder in _groups():
        files += [folder / "memory.events", folder / "memory.oom_control"]
    return sum(_numbers(file).get("oom_kill", 0) for file in files)


def measure_peak() -> float | None:
    """The most GB that this process has held so far; None where the system does not say."""
    peak = _numbers(Path("/proc/self/status")).get("VmHWM:")
    if peak is not None:
        return peak * 1024 / 1e9
    try:
        import resource
    except ImportError:  # Windows
        return None
    # Kilobytes, but bytes on macOS. On Linux it begins with what the parent process has held.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def _groups() -> Iterator[Path]:
    """The folders of our control groups and those above, of either version of their layout."""
    for line in _lines(Path("/proc/self/cgroup")):
        _, controllers, place = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root = _GROUPS / "memory" if controllers else _GROUPS
        own = root / place.lstrip("/")
        yield from (f for f in (own, *own.parents) if f.is_relative_to(root) and f.is_dir())


def _number(folder: Path, *names: str) -> int | None:
    """The number in the first of these files that says anything; None for 'max', and for none."""
    text = next((lines[0] for name in names if (lines := _lines(folder / name))), "")
    return int(text) if text.isdigit() else None


def _numbers(path: Path) -> dict[str, int]:
    """The lines 'name number ...' of a file."""
    lines = [line.split() for line in _lines(path)]
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdigit()}


def _lines(path: Path) -> list[str]:
    """None where a system, or a version of its layout, has no such file or keeps it from us."""
    try:
        return path.read_text().splitlines()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def _of_the_system() -> MainMemory | None:
    names = getattr(os, "sysconf_names", {})
    if not {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= set(names):
        return None
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    return MainMemory(total=total, free=total / 2)
