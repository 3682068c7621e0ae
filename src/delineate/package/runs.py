"""A model out of the folders of trainings: of one run, of the folds of one, or of several runs."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from delineate.assemble import assemble_network
from delineate.config import Config, load_config
from delineate.data import read_case
from delineate.datasets import Case
from delineate.engine.weights import load_weights
from delineate.errors import DataError
from delineate.inference.choose_steps import read_postprocessing
from delineate.inference.domain import Domain, Span, take_domain
from delineate.inference.model import Model
from delineate.inference.postprocess import Step
from delineate.io.paths import split_reference
from delineate.package.read import read_package
from delineate.plan import Plan, read_plan
from delineate.run_folder import RunFolder

__all__ = ["find_runs", "is_there", "list_cases", "mirrored_axes", "model_of", "open_model"]

ALIKE = (
    "channels",
    "labels",
    "spacing",
    "crop_nonzero",
    "normalisation",
    "separate_axis",
    "patch",
    "network",
)
"""What the plans of networks that predict together must have in common."""

Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]


def open_model(path: Path, *, trust: Sequence[str] = ()) -> Model:
    """The model of a package, of a run folder or of that of a cross-validation, on the CPU."""
    return model_of([path]) if path.is_dir() else read_package(path, trust=trust)


def model_of(folders: Sequence[Path], *, progress: Progress | None = None) -> Model:
    """The model of all these trainings, on the CPU; plans that differ are a DataError.

    Args:
        progress: Shown the training scans, where they are looked at for their domain; None looks
            at no scan, and takes the domain only where a run has noted it.
    """
    runs = find_runs(folders)
    configs = [load_config(run.config) for run in runs]
    plan = _one_plan(runs)
    networks = tuple(assemble_network(config, plan) for config in configs)
    for network, run in zip(networks, runs, strict=True):
        load_weights(network, run.weights)
        network.eval()
    first = configs[0]
    return Model(
        networks=networks,
        plan=plan,
        overlap=first.predict.overlap,
        flips=mirrored_axes(first, plan) if first.predict.flips else (),
        steps=_steps(folders, runs),
        domain=_domain(runs, plan, progress),
    )


def find_runs(folders: Sequence[Path]) -> tuple[RunFolder, ...]:
    """Each folder's training, or those of its folds; one that has none is a DataError."""
    found = []
    for folder in folders:
        folds = sorted(folder.glob("fold_*"), key=lambda fold: (len(fold.name), fold.name))
        whole = RunFolder(folder).config.is_file() or not folds
        found += [RunFolder.open(path) for path in ([folder] if whole else folds)]
    if not found:
        raise DataError("no run is given. Fix: give the run_dir of a training.")
    return tuple(found)


def mirrored_axes(config: Config, plan: Plan) -> tuple[int, ...]:
    """The axes that training mirrored: a network that saw no mirror images is worse on them."""
    trained = [part.arguments.get("axes") for part in config.augment if part.name == "Flip"]
    if not trained:
        return ()
    if trained[0] is None:
        return plan.seen_axes
    if trained[0] == "left_right":
        return tuple(axis for axis in plan.seen_axes if axis == plan.left_right)
    return tuple(plan.seen_axes[axis] for axis in trained[0])


def list_cases(runs: Sequence[RunFolder], *parts: str) -> tuple[Case, ...]:
    """Every case that any run has in these parts of its split, sorted by id."""
    found: dict[str, Case] = {}
    for run in runs:
        if not (run.path / "cases.json").is_file():
            continue
        split = run.read_json("cases.json")
        for entry in (entry for part in parts for entry in split.get(part, ())):
            found[entry["id"]] = Case(
                id=entry["id"],
                images=tuple(entry["images"]),
                label=entry.get("label"),
                group=entry.get("group") or "",
            )
    return tuple(found[case] for case in sorted(found))


def is_there(case: Case) -> bool:
    """Whether its scans still lie where the training found them."""
    return all(Path(split_reference(path).path).exists() for path in case.images)


def _one_plan(runs: Sequence[RunFolder]) -> Plan:
    plan, *others = (read_plan(run.plan) for run in runs)
    for run, other in zip(runs[1:], others, strict=True):
        for field in ALIKE:
            if getattr(other, field) != getattr(plan, field):
                raise DataError(
                    f"{run.plan}: its {field} is not that of {runs[0].plan}, so the two cannot "
                    f"predict together. Fix: train both with plan.file={runs[0].plan}, or give "
                    "each a file of its own."
                )
    return plan


def _steps(folders: Sequence[Path], runs: Sequence[RunFolder]) -> tuple[Step, ...]:
    """What was found to help on the validation cases; of several models only what all have."""
    found = [RunFolder(folder).steps for folder in folders]
    if not any(path.is_file() for path in found):
        found = [run.steps for run in runs]
    steps = {read_postprocessing(path) if path.is_file() else () for path in found}
    return steps.pop() if len(steps) == 1 else ()


def _domain(runs: Sequence[RunFolder], plan: Plan, progress: Progress | None) -> Domain | None:
    """As the runs have noted it, or from the scans that they were trained on, if still there."""
    cases = list_cases(runs, "training")
    if all(run.domain.is_file() for run in runs):
        noted = [Domain.from_json(run.read_json(run.domain.name)) for run in runs]
        return _together(noted, cases=len(cases))
    if progress is None or not cases or not all(map(is_there, cases)):
        return None
    shown = progress(cases, len(cases), "looking at scans")
    return take_domain((read_case(case) for case in shown), plan)


def _together(domains: Sequence[Domain], *, cases: int) -> Domain:
    """The domain of networks of which each has seen a part of the cases."""
    first = domains[0]
    return replace(
        first,
        cases=cases or first.cases,
        spacing=_union([d.spacing for d in domains]),
        field_of_view=_union([d.field_of_view for d in domains]),
        intensities=tuple(
            _union([d.intensities[channel] for d in domains])
            for channel in range(min(len(d.intensities) for d in domains))
        ),
        orientations=tuple(sorted({axes for d in domains for axes in d.orientations})),
        tilt=max((d.tilt for d in domains if d.tilt is not None), default=None),
    )


def _union(rows: Sequence[tuple[Span, ...]]) -> tuple[Span, ...]:
    return tuple(
        Span(min(s.least for s in spans), max(s.most for s in spans))
        for spans in zip(*rows, strict=True)
    )
