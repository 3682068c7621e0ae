"""A page that needs no network and no other file: style, script and pictures lie in it."""

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from delineate.errors import DataError
from delineate.io import atomic_path
from delineate.report.comparison_page import comparison_page
from delineate.report.record import read_record
from delineate.report.run_names import run_names
from delineate.report.run_page import run_page

__all__ = ["write_comparison", "write_report"]

STYLES = ("page.css", "viewer.css", "print.css")
SCRIPTS = ("page.js", "slices.js", "viewer.js")
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""The browser itself refuses whatever would leave the page."""


def write_report(run: Path, page: Path | None = None) -> Path:
    """Write a page of what lies in a run's folder; what is absent is said.

    Args:
        run: The folder of a training or of a cross-validation.
        page: None for `report.html` in that folder.
    """
    record = read_record(run)
    return _write(page or run / "report.html", record.name, run_page(record))


def write_comparison(runs: Sequence[Path], page: Path) -> Path:
    """Write a page that sets several runs side by side; the same folder twice is a DataError."""
    names = run_names(runs)
    records = {name: read_record(run) for name, run in zip(names, runs, strict=True)}
    return _write(page, ", ".join(names), comparison_page(records))


def _write(page: Path, title: str, sections: Sequence[str]) -> Path:
    if page.is_dir():
        raise DataError(f"{page}: this is a folder. Fix: name a file, such as {page}/report.html.")
    style = "".join(_asset(name) for name in STYLES)
    script = "".join(_asset(name) for name in SCRIPTS)
    body = "".join(sections)
    size = (len(body.encode()) + len(style) + len(script)) / 1e6
    html = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="color-scheme" content="light dark"><title>{escape(title)} - delineate</title>'
        f"<style>{style}</style></head><body><main>{body}</main>"
        f"<footer><p>One file of {size:.1f} MB that needs no network. Made with delineate. "
        "Research software, not a medical device.</p></footer>"
        f"<script>{script}</script></body></html>\n"
    )
    with atomic_path(page) as part:
        part.write_text(html, encoding="utf-8")
    return page


def _asset(name: str) -> str:
    return files("delineate.report").joinpath(name).read_text("utf-8")
