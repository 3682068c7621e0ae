"""What a run notes reaches whoever started it."""

import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from delineate.notes import showing_notes, writing_notes

log = logging.getLogger("delineate")


def test_lines_are_shown_inside_only_and_errors_are_told_elsewhere():
    lines, level, handlers = [], log.level, list(log.handlers)
    with showing_notes(lines.append):
        log.info("step %d", 1)
        log.warning("careful")
        log.error("ends the command")
    log.warning("after")
    assert lines == ["step 1", "careful"]
    assert log.level == level
    assert log.handlers == handlers


def test_where_nobody_says_where_lines_are_shown_they_go_to_stderr(
    capsys: pytest.CaptureFixture[str],
):
    with showing_notes():
        log.info("step %d", 1)
    assert capsys.readouterr() == ("", "step 1\n")


def test_a_file_gets_every_line_with_its_time_and_is_closed(tmp_path: Path):
    file, level, handlers = tmp_path / "log.txt", log.level, list(log.handlers)
    file.write_text("before\n")
    with writing_notes(file):
        log.info("step %d", 1)
        log.error("ends the command")
    log.warning("after")
    before, *lines = file.read_text().splitlines()
    assert before == "before"
    for line, said in zip(lines, ("INFO step 1", "ERROR ends the command"), strict=True):
        day, time, rest = line.split(" ", 2)
        written = datetime.fromisoformat(f"{day}T{time}+00:00")
        assert abs((datetime.now(UTC) - written).total_seconds()) < 60
        assert rest == said
    assert log.level == level
    assert log.handlers == handlers
