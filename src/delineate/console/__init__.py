"""What a person sees: progress bars, tables that fit the terminal, plans and findings in words."""

from delineate.console.comparison import show_comparison
from delineate.console.examination import show_examination
from delineate.console.figures import show_presence, show_profile, show_scores
from delineate.console.lines import say
from delineate.console.plan import show_plan
from delineate.console.progress import Bars, showing_progress, tracking

__all__ = [
    "Bars",
    "say",
    "show_comparison",
    "show_examination",
    "show_plan",
    "show_presence",
    "show_profile",
    "show_scores",
    "showing_progress",
    "tracking",
]
