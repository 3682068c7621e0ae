"""The parts of a page that sets several runs beside each other."""

from collections.abc import Mapping
from html import escape

from delineate.errors import DelineateError
from delineate.report.curves import curves_of_runs
from delineate.report.differences import what_differs
from delineate.report.facts import plan_window, run_facts
from delineate.report.figures import PALETTE, class_colours
from delineate.report.markup import note, section
from delineate.report.metric_names import title
from delineate.report.overlays import draw_plane
from delineate.report.record import Record, Scan
from delineate.report.run_page import details
from delineate.report.standings import p_text, standings_of_cases, standings_of_metrics
from delineate.report.versus import Versus, set_side_by_side
from delineate.report.view import View, planes_of, read_view
from delineate.report.viewer import SWITCHES, viewer, viewer_title

__all__ = ["comparison_page"]

SIGNIFICANT = 0.05


def comparison_page(runs: Mapping[str, Record]) -> list[str]:
    """The sections in the order of the page: who wins, by how much, where, and why perhaps."""
    colours = dict(zip(runs, PALETTE * len(runs), strict=False))
    versus = set_side_by_side(runs)
    parts = [_header(runs, versus)]
    if isinstance(versus, Versus):
        parts.append(section("Who wins", standings_of_metrics(versus, colours), name="standing"))
    parts.append(section("Training", curves_of_runs(runs, colours), name="training"))
    if isinstance(versus, Versus):
        parts += _pictures(runs, versus)
        parts.append(section("Case by case", standings_of_cases(versus, colours), name="scores"))
    parts.append(section("What differs", what_differs(runs), name="differences"))
    return [*parts, *(_run(name, record) for name, record in runs.items())]


def _header(runs: Mapping[str, Record], versus: Versus | str) -> str:
    names = escape(" \u00b7 ".join(runs))
    if isinstance(versus, str):
        head = f"<h1><span>{escape(versus)}</span></h1>"
    else:
        head = _verdict(versus) + "".join(note(text) for text in versus.notes)
    return f'<header><p class="run">{names}</p>{head}</header>'


def _verdict(versus: Versus) -> str:
    """The difference of the two leading runs, and whether it may be chance."""
    best = versus.main.pairs[0]
    first, second = best.names
    metric = title(best.metric)
    sure = best.adjusted < SIGNIFICANT
    if not best.mean:
        what = f"{first} and {second} are equal in mean {metric}"
    elif sure:
        what = f"{first} wins: mean {metric} against {second}"
    else:
        what = f"no clear winner: {first} leads {second} in mean {metric}"
    how = (
        f"95 % interval {best.low:+.4f} to {best.high:+.4f}, {p_text(best.adjusted)}, "
        f"better in {best.better} of {best.cases} cases"
    )
    return f"<h1><b>{best.mean:+.4f}</b> <span>{escape(what)}, {how}</span></h1>"


def _pictures(runs: Mapping[str, Record], versus: Versus) -> list[str]:
    """The cases that the leading run gains and loses most, as every run drew them."""
    record = next((r for r in runs.values() if r.plan is not None), None)
    if record is None or record.plan is None:
        return []
    labels = record.plan.labels
    colours = class_colours(labels.names, labels)
    cards, shown = [], []
    for rank, case in _choose(versus).items():
        view = _view(runs, case, record)
        cards.append(_card(versus, rank, case, view, colours))
        shown += [(rank, view)] if isinstance(view, View) else []
    keys = f'<div class="keys"><div class="switches">{SWITCHES}</div></div>'
    slices = viewer(shown, list(runs), labels, colours)
    return [
        section("Where they differ most", keys + "".join(cards), name="cases"),
        section(viewer_title(shown), slices, name="slices"),
    ]


def _choose(versus: Versus) -> dict[str, str]:
    """The case of the leader's greatest gain, of its median, of its greatest loss."""
    metric = versus.main.metric
    pairs = versus.pairs(metric)
    # Of a distance, a lower figure is the gain.
    sign = 1 if versus.main.pairs[0].direction == "higher" else -1
    order = sorted(pairs, key=lambda case: sign * (pairs[case][1] - pairs[case][0]))
    chosen: dict[str, str] = {}
    places = {"greatest gain": len(order) - 1, "median": len(order) // 2, "greatest loss": 0}
    for name, place in places.items():
        if order and order[place] not in chosen.values():
            chosen[name] = order[place]
    return chosen


def _view(runs: Mapping[str, Record], case: str, planned: Record) -> View | str:
    """The case with the masks of all runs, or why it cannot be shown."""
    scans = {name: scan for name, run in runs.items() if (scan := run.scan(case))}
    if not scans or planned.plan is None:
        return "cases.json does not name it."
    first = next(iter(scans.values()))
    found = {name: file for name, scan in scans.items() for file in scan.predictions.values()}
    joint = Scan(id=case, image=first.image, truth=first.truth, predictions=found)
    try:
        return read_view(joint, planned.plan.labels, window=plan_window(planned.plan))
    except (DelineateError, OSError) as error:
        return str(error)


def _card(
    versus: Versus, rank: str, case: str, view: View | str, colours: Mapping[str, str]
) -> str:
    """One case: the same slice with the mask of each run."""
    means = versus.case_means(versus.main.metric)[case]
    if isinstance(view, str):
        planes = note(view)
    else:
        plane = planes_of(view)[0]
        planes = "".join(
            draw_plane(
                view, plane, colours, prediction=name,
                caption=f"{name} {means[name]:.3f}" if name in means else name,
            )
            for name in view.predictions
        )  # fmt: skip
    figures = ", ".join(f"{escape(name)} {mean:.3f}" for name, mean in means.items())
    return (
        f'<article class="case"><h3><em>{rank}</em> {escape(case)} <small>{figures}</small></h3>'
        f'<div class="planes">{planes}</div></article>'
    )


def _run(name: str, record: Record) -> str:
    """One run of several: what it was, folded away."""
    return (
        f'<section class="one-run"><details><summary><h2>{escape(name)}</h2></summary>'
        f"{run_facts(record)}{details(record)}</details></section>"
    )
