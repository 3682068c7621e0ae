"""One side of a comparison in a process of its own: no allocator, thread or cache is shared."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

THREADS = 2
"""For every side; a laptop's worth, and what nnU-Net was measured with."""


def run_side(
    script: str, words: Sequence[object], *, copies: int = 1, threads: int = THREADS
) -> list[dict[str, Any]]:
    """What `script WORDS` says in the last line of its output, by copies that run at once."""
    environment = os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": str(threads),
    }
    command = [sys.executable, script, *map(str, words)]
    started = [
        subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(copies)
    ]
    done = [process.communicate() for process in started]
    for process, (out, error) in zip(started, done, strict=True):
        if process.returncode:
            sys.exit(f"{out[-1000:]}{error[-2000:]}{' '.join(command[1:])} failed")
    return [json.loads(out.splitlines()[-1]) for out, _ in done]
