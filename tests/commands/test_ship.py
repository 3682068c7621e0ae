"""`delineate package` and `delineate export`, as a person gives them."""

from pathlib import Path

import pytest
from finished_runs import PLAN, finish, write_scans
from typer.testing import CliRunner, Result

from delineate.commands.ship import app
from delineate.errors import ConfigError, DelineateError
from delineate.package import read_card, read_package


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ship")
    return finish(folder / "runs" / "first", write_scans(folder / "scans"))


def give(*words: object) -> Result:
    result = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(result.exception, DelineateError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def test_package_writes_one_file_and_says_how_large_it_is(run: Path, tmp_path: Path):
    out = tmp_path / "model.zip"
    said = ("--name", "Cord", "--licence", "CC0-1.0", "--use", "Teaching.")
    done = give("package", run, "-o", out, *said)
    assert done.stdout == f"Package: {out} (1 network, {out.stat().st_size / 1e6:.1f} MB)\n"
    assert read_package(out).plan == PLAN
    card = read_card(out)
    assert card.startswith("# Cord\n")
    assert "- licence: CC0-1.0\n- intended use: Teaching.\n" in card


def test_package_says_when_the_scans_are_gone(tmp_path: Path):
    run = finish(tmp_path / "run", tmp_path / "nowhere")
    done = give("package", run, "-o", tmp_path / "model.zip")
    assert "The training scans are no longer there" in done.stderr


@pytest.mark.slow
def test_export_compares_on_the_runs_own_scan(run: Path, tmp_path: Path):
    done = give("export", run, "--to", "torch", "-o", tmp_path / "model.pt2")
    difference, written = done.stdout.splitlines()
    assert difference.startswith("Difference: largest difference ")
    assert difference.endswith("on windows of a scan")
    assert written == f"Written: {tmp_path / 'model.pt2'}"
    assert {path.name for path in tmp_path.iterdir()} == {"model.pt2", "model.json"}


@pytest.mark.slow
def test_export_of_a_package_takes_the_scan_that_is_given(run: Path, tmp_path: Path):
    give("package", run, "-o", tmp_path / "model.zip")
    scan = next((run.parents[1] / "scans").iterdir())
    words = ("export", tmp_path / "model.zip", "--to", "torch", "-o", tmp_path / "model.pt2")
    assert "on windows of a scan" in give(*words, "--scan", scan).stdout
    assert "on noise, as no scan was given" in give(*words).stdout


def test_a_mistake_is_one_message(run: Path, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"the file must end in \.pt2"):
        give("export", run, "--to", "torch", "-o", tmp_path / "model")
