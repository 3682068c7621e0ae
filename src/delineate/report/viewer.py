"""The markup of the slice viewer; viewer.js brings it to life, and without it nothing is shown."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from delineate.labels import Labels
from delineate.report.case_table import embed
from delineate.report.slices import pack_labels, pack_slices
from delineate.report.view import View, planes_of

__all__ = ["SWITCHES", "viewer", "viewer_title"]

_LAYERS = {
    "truth": '<path class="truth" d="M1 6H23"/>',
    "prediction": '<path class="prediction" d="M1 6H23"/>',
    "errors": '<rect class="missed" x="1" width="10" height="12"/>'
    '<rect class="extra" x="13" width="10" height="12"/>',
}
SWITCHES = "".join(
    f'<label><input type="checkbox" checked data-layer="{layer}"><svg class="key" '
    f'viewBox="0 0 24 12" aria-hidden="true">{key}</svg>{layer}</label>'
    for layer, key in _LAYERS.items()
)
"""Boxes that show and hide the layers of all pictures."""
ERROR_KEY = (
    '<ul class="legend"><li><i class="missed"></i>missed: true, but not predicted</li>'
    '<li><i class="extra"></i>extra: predicted, but not true</li>'
    '<li><i class="wrong"></i>of a wrong class</li></ul>'
)

Shown = Sequence[tuple[str, View]]
"""What each case is called, such as 'worst', and the case."""


def viewer_title(shown: Shown) -> str:
    """Pictures have no slices."""
    volumes = any(len(planes_of(view)) > 1 for _, view in shown)
    return "Slice by slice" if volumes else "Close up"


def viewer(shown: Shown, runs: Sequence[str], labels: Labels, colours: Mapping[str, str]) -> str:
    """Cases whose slices can be scrolled; empty without a case."""
    if not shown:
        return ""
    packed = [pack_slices(view) for _, view in shown]
    data = {"cases": packed, "runs": list(runs), "labels": pack_labels(labels, colours)}
    planes = max((planes_of(view) for _, view in shown), key=len)
    tools = _choice("case", [f"{rank}: {view.id}" for rank, view in shown], "Case")
    if len(planes) > 1:
        tools += _choice("plane", [plane.name for plane in planes], "Plane")
    names = [leaf.name for leaf in labels.leaves]
    if len(names) > 1:
        tools += _menu("structure", ["all structures", *names])
    if len(runs) > 1:
        tools += _menu("run", list(runs))
    return (
        f'<div class="viewer" id="viewer" hidden><div class="side">{tools}'
        f'<div class="switches">{SWITCHES}</div>{ERROR_KEY}<p class="note" data-part="note"></p>'
        f'</div><div class="picture">{_STAGE}</div></div>'
        f"{_FAILED}{embed('slices-data', data)}"
    )


_EDGES = "".join(f'<b data-edge="{edge}"></b>' for edge in ("left", "right", "top", "bottom"))
_STAGE = (
    '<div class="stage-row"><div class="stage" data-part="stage" tabindex="0" role="slider" '
    'aria-orientation="vertical" aria-valuemin="1">'
    '<canvas data-part="scan"></canvas>'
    '<svg data-part="drawing" preserveAspectRatio="none" aria-hidden="true"></svg>'
    f"{_EDGES}</div></div>"
    '<div class="slide" data-part="slide"><svg data-part="profile" viewBox="0 0 1000 40" '
    'preserveAspectRatio="none" aria-hidden="true"></svg>'
    '<input type="range" min="0" max="0" step="1" data-part="slider" aria-label="Slice"></div>'
    '<p class="told"><output data-part="number"></output> <span data-part="told"></span> '
    '<span class="under" data-part="under"></span></p>'
    '<p class="note keys-note"><span data-part="keys">Wheel over the picture, slider, or arrow '
    "keys move through the slices. </span>T, P and E switch truth, prediction and errors.</p>"
)
_FAILED = (
    '<p class="note" id="viewer-failed" hidden>This browser is too old for the slice viewer.</p>'
    '<noscript><p class="note">The slice viewer needs scripts.</p></noscript>'
)


def _choice(key: str, names: Sequence[Any], label: str) -> str:
    buttons = "".join(
        f'<button type="button" data-set="{key}" data-to="{i}" aria-pressed="{str(not i).lower()}">'
        f"{escape(name)}</button>"
        for i, name in enumerate(names)
    )
    kind = "choice row" if key == "plane" else "choice"
    return f'<div class="{kind}" role="group" aria-label="{label}">{buttons}</div>'


def _menu(key: str, names: Sequence[str]) -> str:
    options = "".join(
        f'<option value="{i}">{escape(name)}</option>' for i, name in enumerate(names)
    )
    return f'<label class="menu">{key} <select data-choose="{key}">{options}</select></label>'
