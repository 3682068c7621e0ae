"""Shared by all tests: fixed thread counts, real data and a SLURM, where there are such."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from jaxtyping import install_import_hook
from slurm_here import Slurm, missing_programs, running_slurm

# Shapes in signatures are checked in the tests; production pays nothing.
SHAPED = ("contracts", "augment", "models", "losses", "inference.sliding")
CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
install_import_hook([f"delineate.{room}" for room in SHAPED], CHECKER)

os.environ.setdefault("OMP_NUM_THREADS", "1")

REAL_DATA = Path(os.environ.get("DELINEATE_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of openly licensed scans that docs/how-to/real-data.md describes."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"no real data at {REAL_DATA}; set DELINEATE_DATA to its folder")
    return REAL_DATA


@pytest.fixture(scope="module")
def slurm() -> Iterator[Slurm]:
    """A queue of one node on this machine."""
    if lacking := missing_programs():
        pytest.skip(f"no SLURM here ({', '.join(lacking)}): apt-get install slurm-wlm munge")
    # A socket's path may have no more than 107 letters: pytest's own folder is too deep.
    with (
        tempfile.TemporaryDirectory(prefix="slurm-") as folder,
        running_slurm(Path(folder), cpus=2) as slurm,
    ):
        yield slurm
