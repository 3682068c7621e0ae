"""A folder that appears when all of it is written, or not at all."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from delineate.errors import DataError

__all__ = ["new_folder"]


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A name beside `out` to write to, which becomes `out` when all went well.

    An empty folder may be there already; one that holds something is a DataError.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out}: already holds something. Fix: give a new folder, or remove it.")
    part = out.with_name(f".{out.name}-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        yield part
        if out.exists():
            out.rmdir()
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
