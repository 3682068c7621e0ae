import json

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

from delineate.commands.picture import app
from delineate.errors import DataError


def run(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_one_run_gets_its_page_in_its_folder_and_the_size_is_said(finished):
    said = run("report", finished)
    page = finished / "report.html"
    assert said == f"Report: {page} ({page.stat().st_size / 1e6:.1f} MB)\n"


def test_several_runs_get_one_page(finished, rival, tmp_path):
    run("report", finished, rival, "-o", tmp_path / "both.html")
    assert "rival &amp; co" in (tmp_path / "both.html").read_text("utf-8")
    assert not (finished / "report.html").exists()


def test_plot_draws_a_case_with_names_from_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mask = np.zeros((8, 8, 8), np.uint8)
    mask[2:5, 2:5, 2:5] = 1
    for name in ("scan", "truth"):
        nibabel.save(nibabel.Nifti1Image(mask, np.eye(4)), tmp_path / f"{name}.nii.gz")
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "tumour": 1}}))
    said = run("plot", "scan.nii.gz", "--truth", "truth.nii.gz", "--labels", "dataset.json",
               "--plane", "axial", "--slice", "3")  # fmt: skip
    assert said == "Plot: scan.png\n"
    assert (tmp_path / "scan.png").is_file()


def test_a_slice_is_a_number_or_auto(tmp_path):
    with pytest.raises(DataError, match=r"--slice first: neither a number from 0 nor auto\."):
        run("plot", tmp_path / "scan.nii.gz", "--slice", "first")
