"""What a run notes reaches whoever started it."""

import logging

from delineate.notes import showing_notes

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
