"""One HTML page that shows a run: curves, pictures, scores, the plan with its reasons."""

from delineate.report.page import write_report

__all__ = ["write_report"]
