"""One training in many processes, each but the last one killed; run by tests/test_training.py.

    python many_lives.py LIVES SEED WORDS...

WORDS is the command after `delineate`. A life begins by fork, so that PyTorch is imported once. Its
end is a SIGKILL some time after it has saved a state, or while one is being written. Scoring the
held-out cases on their own grids is left out, so that the last state stays.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

import delineate.run
import delineate.training  # imported once, here
from delineate.cli import main

DEADLINE = 60


def live(words):
    """The command in a process of its own; the id of it."""
    pid = os.fork()
    if pid:
        return pid
    sys.argv = ["delineate", *words]
    torch.set_num_threads(1)
    try:
        main()
    except SystemExit as end:
        os._exit(end.code or 0)
    finally:
        os._exit(1)


def kill(pid, states, chance):
    """Wait for a moment, and kill; whether the process was still there."""
    before, writing = set(states.glob("*.safetensors")), chance.random() < 0.5
    end = time.monotonic() + DEADLINE
    pause = chance.uniform(0, 0.1)
    while time.monotonic() < end and os.waitpid(pid, os.WNOHANG) == (0, 0):
        if set(states.glob("state-*.safetensors")) - before:
            time.sleep(pause)
            while writing and not any(states.glob("*.part")) and time.monotonic() < end:
                if os.waitpid(pid, os.WNOHANG) != (0, 0):
                    return False
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return True
        time.sleep(0.002)
    return False


def stop(*args, **kwargs):
    """In the place of the judgement."""
    raise SystemExit(0)


if __name__ == "__main__":
    lives, seed, *words = sys.argv[1:]
    folder = next(Path(word.partition("=")[2]) for word in words if word.startswith("run_dir="))
    delineate.run.judge = stop
    chance, killed = random.Random(int(seed)), 0
    for _ in range(int(lives)):
        killed += kill(live(words), folder / "checkpoints", chance)
    _, status = os.waitpid(live(words), 0)
    print(f"killed {killed} times")
    sys.exit(os.waitstatus_to_exitcode(status))
