"""`delineate serve`: what is asked for reaches the service, and what cannot be is a message."""

import sys
from pathlib import Path

import pytest
from finished_runs import finish, write_scans
from terminal import delineate as run

import delineate.serve
from delineate.inference.cascade import Cascade

CASCADE = """\
stages:
  - {name: where, model: run, does: focus, structure: cord}
  - {name: what, model: run, does: segment}
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("study")
    finish(root / "run", write_scans(root / "scans"))
    (root / "cascade.yaml").write_text(CASCADE)
    return root


@pytest.fixture
def started(monkeypatch):
    """The services that would have been started."""
    found = []
    monkeypatch.setattr(delineate.serve, "require_packages", lambda: None)
    monkeypatch.setattr(
        delineate.serve, "serve", lambda service, **where: found.append((service, where))
    )
    return found


def test_by_default_a_service_is_for_this_machine_alone(study, started):
    done = run("serve", study / "run", "--device", "cpu")
    assert done.code == 0, done.err
    ((service, where),) = started
    assert where == {"host": "127.0.0.1", "port": 8000}
    assert (service.name, service.device, service.memory_gb) == ("run", "cpu", None)
    assert (service.limits.max_bytes, service.limits.timeout_s) == (2_000_000_000, 600)
    assert not service.predictor.networks[0].training


def test_every_option_reaches_the_service(study, started):
    options = ("--host", "::1", "--port", 0, "--memory-gb", 3, "--max-mb", 7, "--timeout", 9)
    assert run("serve", study / "cascade.yaml", "--device", "cpu", *options).code == 0
    ((service, where),) = started
    assert where == {"host": "::1", "port": 0}
    assert isinstance(service.predictor, Cascade)
    assert (service.memory_gb, service.limits.max_bytes) == (3, 7_000_000)
    assert service.limits.timeout_s == 9


def test_what_is_no_model_is_a_message(study, started, tmp_path):
    done = run("serve", tmp_path / "gone.zip")
    assert (done.code, started) == (2, [])
    assert "gone.zip: no such file" in done.err


def test_a_missing_package_is_named_before_the_model_is_read(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    done = run("serve", tmp_path / "gone.zip")
    assert done.code == 2
    assert done.err == 'fastapi is not installed. Fix: pip install "delineate[serve]"\n'
