from pathlib import Path

import pytest

from delineate.errors import DataError
from delineate.report.run_names import run_names


def test_runs_are_named_by_what_tells_them_apart():
    assert run_names([Path("runs/a"), Path("runs/b")]) == ["a", "b"]
    assert run_names([Path("x/fold_0"), Path("y/fold_0")]) == ["x/fold_0", "y/fold_0"]


def test_the_same_run_twice_is_refused():
    with pytest.raises(DataError, match=r"runs/\.\./runs/a is given twice\. Fix: give different"):
        run_names([Path("runs/a"), Path("runs/../runs/a")])
