"""What each part of the brainstem system adds: trainings of the same time with one part left out.

    python bench/brainstem_ablation.py synthetic [--seconds 300] [--out DIR] [--arms A B ...]
    python bench/brainstem_ablation.py SUBCORTEX [...]

The set is drawn brainstems of 36 nuclei, or, given the folder of the four nested subcortical
parcellations, bent and re-contrasted copies of them; those held out are copies of their own. Each
arm trains for the same seconds of one processor, which hold on a busy machine, in a process of its
own; the last ones of a stopped table go on with the same command. The table has the Dice of each
level of the hierarchy, a mean over cases of each case's mean over classes, with its interval, and
the difference from the whole network, paired case by case.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brainstem_sets import add_priors, atlas_copies, brainstems, write_set
from sides import run_side

from delineate.metrics import Table, compare
from delineate.metrics.table import read_table

WHOLE = "ViT-GNN"


@dataclass(frozen=True)
class Arm:
    """One training."""

    network: str = "ViTGNN"
    graph: str = "nuclei"
    hierarchy: bool = True
    cutmix: bool = True
    priors: bool = False
    """As channels, and as what calms bending."""
    documented_loss: bool = False
    """Focal and boundary instead of Dice and cross-entropy."""


ARMS = {
    WHOLE: Arm(),
    "without graph": Arm(graph="none"),
    "without hierarchy loss": Arm(hierarchy=False),
    "without CutMix": Arm(cutmix=False),
    "with priors": Arm(priors=True),
    "documented loss": Arm(documented_loss=True),
    "plain U-Net": Arm(network="LightUNet", hierarchy=False, cutmix=False),
}


@dataclass(frozen=True)
class Work:
    """A set and the patches of it that a step sees."""

    train: int
    test: int
    patch: tuple[int, ...]
    shape: tuple[int, ...] = ()
    """Of what is drawn."""


WORKS = {
    "synthetic": Work(24, 8, (32, 32, 32), shape=(48, 40, 72)),
    "subcortex": Work(24, 8, (32, 32, 32)),
}
BATCH = 2
THREADS = 1
WIDTH = 8
"""Channels at full resolution, of all networks."""


def settings(arm: Arm, work: str, folder: Path, *, seconds: float, run: Path) -> dict[str, Any]:
    """The configuration of one training."""
    return {
        "data": {
            "root": folder / ("cases_priors.csv" if arm.priors else "cases.csv"),
            "labels": folder / "labels.json",
            "folds": None,
        },
        "plan": {"patch": WORKS[work].patch, "batch_size": BATCH, "width": WIDTH},
        "model": _network(arm),
        "loss": _loss(arm),
        "augment": _augment(arm, work, folder),
        "optimizer": {"name": "delineate.engine.muon.Muon", "lr": 1e-2},
        "schedule": {"name": "Cosine", "warmup": 0.02},
        "train": {
            "budget": f"{seconds:g}s",
            "validations": 1,
            "ema": 0.98,
            "workers": 0,
            "device": "cpu",
            "precision": "fp32",
            "foreground": 0.7,
            "checkpoint": "1h",
        },
        "run_dir": run,
    }


def _loss(arm: Arm) -> list[dict[str, Any]]:
    """Dice and cross-entropy, and above the nuclei the documented term; or all documented terms."""
    if arm.documented_loss:
        found, weight = [{"name": "Focal", "weight": 0.25}, {"name": "Edges", "weight": 0.2}], 0.075
    else:
        found, weight = [{"name": "Dice", "batch": True}, {"name": "CrossEntropy"}], 0.3
    hierarchy = {"name": "HierarchicalFocal", "weight": weight}
    return [*found, *([hierarchy] if arm.hierarchy else [])]


def _augment(arm: Arm, work: str, folder: Path) -> list[dict[str, Any]]:
    """The documented changes with their probabilities, behind left-right mirrors for all."""
    from delineate.datasets.label_file import read_labels
    from delineate.systems.brainstem.augmentation import parts
    from delineate.systems.brainstem.settings import TrainingConfig

    wish = TrainingConfig(
        patch_size=WORKS[work].patch,
        batch_size=BATCH,
        cutmix_prob=0.4 if arm.cutmix else 0.0,
        morphogen_aware=arm.priors,
    )
    mirror = {"name": "Flip", "axes": "left_right"}
    return [mirror, *parts(wish, read_labels(folder / "labels.json"))]


def _network(arm: Arm) -> dict[str, Any]:
    if arm.network == "LightUNet":
        return {"name": "LightUNet", "deep_supervision": True}
    return {
        "name": arm.network,
        "graph": arm.graph,
        "patch_size": 8,
        "embed_dim": 128,
        "vit_layers": 3,
        "gnn_layers": 2,
        "num_heads": 4,
        "mlp_dim": 256,
        "width": WIDTH,
    }


class ProcessorTime:
    """In place of the module `time` of the training's clock."""

    monotonic = staticmethod(time.process_time)


def train(name: str, work: str, folder: Path, *, seconds: float, run: Path) -> dict[str, Any]:
    """Train one arm; its scores are in its folder."""
    import torch

    from delineate.config import Config
    from delineate.engine import clock
    from delineate.groundwork import NoBars
    from delineate.run import train as teach

    torch.set_num_threads(THREADS)
    clock.time = ProcessorTime  # type: ignore[assignment] # seconds of the processor
    teach(Config(**settings(ARMS[name], work, folder, seconds=seconds, run=run)), bars=NoBars())
    return {"arm": name, "steps": _steps(run)}


def table(folder: Path, runs: Path) -> str:
    """Markdown: a line for each finished arm."""
    levels = json.loads((folder / "levels.json").read_text(encoding="utf-8"))
    found = {name: _levels(_run(runs, name), levels) for name in ARMS}
    found = {name: tables for name, tables in found.items() if tables}
    lines = [
        "| training | steps | " + " | ".join(f"{n} | against {WHOLE}" for n in levels) + " |",
        "|" + "---|" * (2 + 2 * len(levels)),
    ]
    for name, tables in found.items():
        cells = [name, _steps(_run(runs, name))]
        for level in levels:
            cells += [_mean(tables[level]), _difference(tables, found.get(WHOLE, {}), level)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _levels(run: Path, levels: dict[str, Sequence[str]]) -> dict[str, Table]:
    """The scores of one arm by level; nothing where it is not finished."""
    path = run / "validation" / "table.csv"
    if not path.is_file():
        return {}
    rows = read_table(path).rows
    return {
        level: Table(tuple(row for row in rows if row.label in set(names)))
        for level, names in levels.items()
    }


def _steps(run: Path) -> str:
    """That were done in the time."""
    return (run / "metrics.csv").read_text(encoding="utf-8").splitlines()[-1].split(",")[0]


def _mean(scores: Table) -> str:
    low, high = scores.interval("dice")
    return f"{scores.mean('dice'):.3f} [{low:.3f}, {high:.3f}]"


def _difference(tables: dict[str, Table], whole: dict[str, Table], level: str) -> str:
    if not whole or tables is whole:
        return "-"
    found = compare(tables[level], whole[level])
    return f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def _run(runs: Path, name: str) -> Path:
    return runs / name.lower().replace(" ", "_")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="'synthetic', or the folder of the parcellations")
    parser.add_argument("--seconds", type=float, default=300, help="of one processor, each arm")
    parser.add_argument("--out", type=Path, default=Path("runs/brainstem_ablation"))
    parser.add_argument("--arms", nargs="*", choices=ARMS, default=list(ARMS), metavar="ARM")
    parser.add_argument("--alone", action="store_true", help="train in this process, no table")
    asked = parser.parse_args()
    work = "synthetic" if asked.data == "synthetic" else "subcortex"
    folder, runs = asked.out / work, asked.out / f"{work}_runs"
    if asked.alone:
        (name,) = asked.arms
        found = train(name, work, folder, seconds=asked.seconds, run=_run(runs, name))
        print(json.dumps(found))
        return
    if not folder.is_dir():
        shape = WORKS[work].shape
        subjects = brainstems(shape) if work == "synthetic" else atlas_copies(Path(asked.data))
        write_set(subjects, folder, train=WORKS[work].train, test=WORKS[work].test)
    for name in asked.arms:
        if ARMS[name].priors and not (folder / "cases_priors.csv").is_file():
            add_priors(folder)
        if not (_run(runs, name) / "report.html").is_file():
            words = [asked.data, "--seconds", asked.seconds, "--out", asked.out]
            print(
                run_side(__file__, [*words, "--alone", "--arms", name], threads=THREADS)[0],
                flush=True,
            )
    print(table(folder, runs))


if __name__ == "__main__":
    main()
