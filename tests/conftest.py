"""Shared by all tests: fixed thread counts and the folder of real data, where there is one."""

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

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
