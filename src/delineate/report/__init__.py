"""Pages and pictures that show what runs and masks are worth, each in one file."""

from delineate.report.hashes import hash_cases
from delineate.report.page import write_comparison, write_report

__all__ = ["hash_cases", "write_comparison", "write_report"]
