"""One process at a time in a folder: two trainings of one run would write over each other."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from delineate.errors import ConfigError

__all__ = ["LOCK", "alone_in"]

LOCK = ".lock"
"""The name of the file that is locked; it goes when its holder does, and stays locked no longer."""


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold the folder, made if need be; a ConfigError where another process does.

    The lock is the system's, so that it ends with the process however that ends. Where the system
    or the folder's disk knows no such locks, nothing is held.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = _held(folder / LOCK)
    if handle is None:
        holder = (folder / LOCK).read_text(encoding="utf-8", errors="replace").strip()
        raise ConfigError(
            f"{folder}: {holder or 'another process'} is training here. "
            "Fix: wait for it or stop it, or choose another run_dir."
        )
    try:
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield
    finally:
        # While it is ours, so that nobody waits for a file that is gone.
        with suppress(PermissionError):  # Windows keeps what is open
            (folder / LOCK).unlink(missing_ok=True)
        os.close(handle)


def _held(path: Path) -> int | None:
    """The open file, locked; None where another process has it."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        if not _lock(handle):
            os.close(handle)
            return None
        # Its last holder may have removed it between the two.
        if path.exists() and os.path.samestat(os.fstat(handle), path.stat()):
            os.ftruncate(handle, 0)
            return handle
        os.close(handle)


def _lock(handle: int) -> bool:
    """Whether the file is ours now."""
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a network disk without locks
        return True
    return True
