"""The pieces of HTML that pages are made of."""

from html import escape

__all__ = ["card", "note", "section", "subsection"]


def section(title: str, body: str, *, name: str = "") -> str:
    """A part of the page with its heading; empty without a body."""
    if not body:
        return ""
    place = f' id="{name}"' if name else ""
    return f"<section{place}><h2>{escape(title)}</h2>{body}</section>"


def subsection(title: str, body: str) -> str:
    """A part of a section."""
    return f"<h3>{escape(title)}</h3>{body}" if body else ""


def card(title: str, body: str) -> str:
    """A chart in a frame of its own."""
    return f'<div class="card"><h3>{escape(title)}</h3>{body}</div>'


def note(text: str) -> str:
    """A sentence in small print."""
    return f'<p class="note">{escape(text)}</p>'
