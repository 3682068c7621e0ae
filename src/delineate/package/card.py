"""The model card: what a model is, what it is worth, what it was made from, in Markdown.

Cases are numbered in the order of the run's table of scores, so that those who have the table can
look them up, and nobody else.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isnan

from delineate.inference.domain import PERCENTILES, Domain
from delineate.inference.model import Model
from delineate.metrics import Table
from delineate.package.facts import Training
from delineate.plan import Plan

__all__ = ["Statement", "list_facts", "said_by_authors", "write_card"]

WORST = 5
"""So many of the held-out cases are shown."""
VOLUMES = ("volume_ml", "true_volume_ml")
TITLES = {"dice": "Dice", "iou": "IoU", "hd95_mm": "HD95 (mm)", "assd_mm": "ASSD (mm)"}
WAYS = {
    "probabilities": "the mean of their probabilities",
    "logits": "the mean of their logits",
    "vote": "a vote over their masks",
    "staple": "STAPLE over their masks",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What only the authors of a model can say."""

    name: str = ""
    """Empty: 'Model', or 'Cascade'."""
    licence: str = "not stated: ask the authors before you use or pass on the model"
    intended_use: str = (
        "research on scans like those described below, by people who can judge the masks"
    )


def write_card(
    model: Model, statement: Statement, *, training: Training, table: Table | None
) -> str:
    """The whole card; sections whose facts are missing say so."""
    sections = [
        _head(model, statement, training),
        "## How to run it",
        _how_to_run(model),
        "## What it is worth",
        *_scores(table, training),
        "## What it was trained on",
        _data(model, training),
        _domain(model.domain),
        "## How it was trained",
        _training(training),
        "## How a mask comes about",
        _path(model),
        "## Limits",
        _limits(model, training),
    ]
    return "\n\n".join(sections) + "\n"


def said_by_authors(statement: Statement) -> dict[str, str]:
    """Licence and use, as facts of a card."""
    return {"licence": statement.licence, "intended use": statement.intended_use}


def list_facts(facts: dict[str, str]) -> str:
    """Facts by name, one a line."""
    return "\n".join(f"- {name}: {_cell(value)}" for name, value in facts.items())


def _head(model: Model, statement: Statement, training: Training) -> str:
    plan = model.plan
    weights = sum(p.numel() for network in model.networks for p in network.parameters())
    kind = "overlapping masks" if plan.labels.overlapping else "one mask of ids"
    facts = {
        "segments": ", ".join(plan.labels.names),
        "from": ", ".join(plan.channels),
        "gives": f"{kind}, on the scan's own grid",
        "networks": f"{_counted(training.networks)}, {weights / 1e6:.2f} million weights",
        **said_by_authors(statement),
    }
    return (
        f"# {' '.join(statement.name.split()) or 'Model'}\n\n"
        "**For research. Not a medical device: not for diagnosis, treatment or any decision about "
        f"a patient.**\n\n{list_facts(facts)}\n\n{_classes(plan)}"
    )


def _classes(plan: Plan) -> str:
    rows = [
        (c.name, "union of its parts" if c.id is None else str(c.id), c.parent or "")
        for c in plan.labels.classes
    ]
    ignored = plan.labels.ignore
    note = "" if ignored is None else f"\n\nId {ignored} marked voxels without a verdict."
    return _table(("class", "id in the mask", "part of"), rows) + note


def _how_to_run(model: Model) -> str:
    several = len(model.plan.channels) > 1
    scan = "SCANS" if several else "SCAN.nii.gz"
    names = ", ".join(f"`_{i:04}` is {name}" for i, name in enumerate(model.plan.channels))
    note = f"\n\nChannels are files of one case whose names end so: {names}." if several else ""
    return (
        "```\n"
        "pip install delineate\n"
        f"delineate predict PACKAGE.zip {scan} -o masks\n"
        "```\n\n"
        "```python\n"
        "from pathlib import Path\n\n"
        "from delineate.inference import predict_case\n"
        "from delineate.package import read_package\n\n"
        'model = read_package(Path("PACKAGE.zip"))\n'
        f'mask = predict_case(model, ["{"scan_0000.nii.gz" if several else "scan.nii.gz"}"'
        f"{', ...' if several else ''}]).mask\n"
        f"```{note}"
    )


def _scores(table: Table | None, training: Training) -> list[str]:
    if table is None:
        return ["Not measured: the run has no scores of held-out cases."]
    cases = len(table.cases)
    several = len(training.networks) > 1
    intro = (
        f"On {cases} held-out case{'s' * (cases != 1)} of the same data set, on the scans' own "
        "grids; intervals are where the mean lies in 95 % of the draws when cases are drawn anew."
    )
    if several:
        intro += (
            " Each case was scored by networks that had not seen it, one by one: what all of them "
            "give together was not measured."
        )
    metrics = [m for m in table.metrics if m not in VOLUMES and not isnan(table.mean(m))]
    rows = [(_title(m), _figure(table.mean(m)), _interval(table, m)) for m in metrics]
    return [
        intro,
        _table(("all classes", "mean", "95 % interval"), rows),
        _by_class(table),
        f"### The worst cases\n\n{_worst(table)}",
    ]


def _by_class(table: Table) -> str:
    rows = []
    for label in table.labels:
        own = Table(tuple(row for row in table.rows if row.label == label))
        volume = own.mean("true_volume_ml") if "true_volume_ml" in own.metrics else float("nan")
        rows.append((label, _figure(own.mean("dice")), _interval(own, "dice"), _figure(volume)))
    return _table(("class", "Dice", "95 % interval", "mean true volume (ml)"), rows)


def _worst(table: Table) -> str:
    numbers = {case: i for i, case in enumerate(table.cases, 1)}
    known = {case: mean for case, mean in table.case_means("dice").items() if not isnan(mean)}
    rows = []
    for case in sorted(known, key=lambda case: (known[case], numbers[case]))[:WORST]:
        own = [row for row in table.rows if row.case == case and not isnan(row.values["dice"])]
        lowest = min(own, key=lambda row: row.values["dice"])
        true, found = (lowest.values.get(v, float("nan")) for v in reversed(VOLUMES))
        rows.append(
            (
                f"case {numbers[case]} of {len(numbers)}",
                _figure(known[case]),
                lowest.label,
                _figure(lowest.values["dice"]),
                _figure(true),
                _figure(found),
            )
        )
    columns = ("case", "mean Dice", "lowest class", "its Dice", "true (ml)", "predicted (ml)")
    return _table(columns, rows)


def _data(model: Model, training: Training) -> str:
    plan = model.plan
    return list_facts(
        {
            "cases trained on": str(training.trained),
            "cases held out": str(training.held_out),
            "patients or other groups": str(training.patients),
            "voxels, as resampled": f"{_times(plan.spacing)} mm",
            "median shape, as resampled": f"{_times(plan.shape)} voxels",
        }
    )


def _domain(domain: Domain | None) -> str:
    if domain is None:
        return "What the scans looked like is not noted: nothing warns of a scan unlike them."
    unit = "pixels" if len(domain.spacing) == 2 else "mm"
    facts = {
        "spacing": f"{'; '.join(map(str, domain.spacing))} mm",
        "field of view": f"{'; '.join(map(str, domain.field_of_view))} {unit}",
        "axes of the files": ", ".join(domain.orientations) or "not noted",
    }
    for channel, spans, rule in zip(
        domain.channels, domain.intensities, domain.normalisation, strict=False
    ):
        relative = " deviations from the scan's mean" if rule.kind == "zscore" else ""
        told = "; ".join(f"{p} %: {s}" for p, s in zip(PERCENTILES, spans, strict=True))
        facts[f"intensities of {channel}, by percentile"] = told + relative
    return f"Over {domain.cases} scans, from the least to the most:\n\n{list_facts(facts)}"


def _training(training: Training) -> str:
    facts = dict(training.recipe)
    steps = [f"{step:,}" for step in training.steps if step is not None]
    if steps:
        facts["weights kept from step"] = ", ".join(steps)
    seconds = [s for s in training.seconds if s is not None]
    if seconds:
        facts["time"] = f"{sum(seconds) / 3600:.2f} hours in all"
    for key in ("device", "precision", "python"):
        if key in training.environment:
            facts[key] = str(training.environment[key])
    packages = training.environment.get("packages", {})
    if packages:
        facts["versions"] = ", ".join(f"{name} {version}" for name, version in packages.items())
    return list_facts(facts)


def _path(model: Model) -> str:
    plan = model.plan
    network = f"windows of {_times(plan.patch)} voxels, {model.overlap:.0%} overlap"
    if model.flips:
        network += f", mirrored along axes {', '.join(map(str, model.flips))} and averaged"
    if len(model.networks) > 1:
        network += f"; {len(model.networks)} networks, {WAYS[model.combine]}"
    steps = "; ".join(map(str, model.steps)) or "none"
    return list_facts(
        {
            "before": "`preprocessing.json` has every step with its figures",
            "network": network,
            "after": f"scores are brought back to the scan's own grid, then decided; {steps}",
        }
    )


def _limits(model: Model, training: Training) -> str:
    names = ", ".join(model.plan.labels.names)
    points = [
        f"It knows {names} and nothing else: whatever else a scan shows is background to it.",
        f"It learnt from {training.trained} cases of one data set. Expect lower figures on other "
        "scanners, protocols, ages and diseases, and measure them before you rely on it.",
        "The held-out cases also decided which step's weights were kept, which flatters the "
        "figures a little.",
        "A warning that a scan leaves the training's range speaks of spacing, field of view, axes "
        "and intensities only; no warning is no proof that the mask is right.",
    ]
    return "\n".join(f"- {point}" for point in points)


def _interval(table: Table, metric: str) -> str:
    low, high = table.interval(metric)
    return "" if isnan(low) else f"{_figure(low)} to {_figure(high)}"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    """One line, whose bars do not end a cell."""
    return " ".join(text.split()).replace("|", "\\|")


def _title(metric: str) -> str:
    return TITLES.get(metric, metric.replace("_", " "))


def _figure(value: float) -> str:
    if isnan(value):
        return ""
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.4g}"


def _times(sizes: Iterable[float]) -> str:
    return " x ".join(f"{size:.4g}" for size in sizes)


def _counted(names: Sequence[str]) -> str:
    """'UNet', or '5 x UNet'; different ones one by one."""
    each = dict.fromkeys(names)
    told = (f"{names.count(n)} x {n}" if names.count(n) > 1 else n for n in each)
    return ", ".join(told)
