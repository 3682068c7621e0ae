"""Folders as trainings leave them, made in milliseconds: random weights and written figures."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from torch import nn

from delineate.assemble import assemble_network
from delineate.config import Config, Data, Part, dump_config
from delineate.engine.weights import save_weights
from delineate.labels import Labels
from delineate.metrics import Row, Table, write_table
from delineate.plan import Network, Normalisation, Plan, write_plan
from delineate.run_folder import RunFolder

PATIENTS = ("Doe_Jane_017", "Doe_John_018", "Roe_Mary_019", "Poe_Edgar_020")
LABELS = Labels.from_names({"cord": 1, "lesion": 3})
PLAN = Plan(
    channels=("T2",),
    labels=LABELS,
    spacing=(1.0, 1.0, 1.0),
    shape=(16, 16, 16),
    crop_nonzero=False,
    normalisation=(Normalisation(kind="zscore"),),
    separate_axis=None,
    patch=(16, 16, 16),
    batch_size=2,
    network=Network(
        features=(8, 16, 32),
        strides=((1, 1, 1), (2, 2, 2), (2, 2, 2)),
        kernels=((3, 3, 3),) * 3,
        convolutions=(2, 2, 2),
    ),
    memory_gb=0.1,
    reasons={"patch": "As asked for."},
)


def write_scans(root: Path, *, shape: Sequence[int] = (20, 18, 16), channels: int = 1) -> Path:
    """One scan per patient and channel, named after the patient."""
    root.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for patient in PATIENTS:
        for channel in range(channels):
            image = rng.normal(100, 20, shape).astype(np.float32)
            path = root / f"{patient}_{channel:04}.nii.gz"
            nibabel.save(nibabel.Nifti1Image(image, np.diag((1, 1, 1, 1))), path)
    return root


def finish(
    folder: Path,
    root: Path,
    *,
    plan: Plan = PLAN,
    model: Part | None = None,
    seed: int = 0,
    held_out: Sequence[int] = (2, 3),
    **changes: Any,
) -> Path:
    """A finished run on the scans of `root`; `held_out` are the numbers of its patients."""
    part = Part(name="UNet") if model is None else model
    config = Config(data=Data(root=root), model=part, run_dir=folder, **changes)
    run = RunFolder(folder)
    run.validation.mkdir(parents=True)
    run.config.write_text(dump_config(config), encoding="utf-8")
    write_plan(plan, run.plan)
    network = shake(assemble_network(config, plan), seed)
    save_weights(run.weights, network.state_dict(), {"step": 40, "val_dice": 0.7})
    split = {"training": [], "validation": []}
    for number, patient in enumerate(PATIENTS):
        files = [str(root / f"{patient}_{c:04}.nii.gz") for c in range(len(plan.channels))]
        case = {"id": patient, "images": files, "label": None, "group": patient[:-4]}
        split["validation" if number in held_out else "training"].append(case)
    run.write_json("cases.json", split)
    run.write_json(
        "environment.json",
        {"python": "3.12", "device": "CPU", "packages": {"delineate": "0.1.0", "torch": "2.13.0"}},
    )
    run.metrics.write_text("step,seconds,loss\n20,18,0.9\n40,36,0.5\n", encoding="utf-8")
    write_table(scores([PATIENTS[number] for number in held_out]), run.table)
    run.page.write_text("<html></html>", encoding="utf-8")
    return folder


def scores(cases: Sequence[str]) -> Table:
    """Dice falls with a case's number among the patients; the lesion is half as good."""
    rows = []
    for case in cases:
        number = PATIENTS.index(case)
        for label, factor in (("cord", 1.0), ("lesion", 0.5)):
            dice = factor * (0.9 - 0.1 * number)
            volumes = {"volume_ml": 2.0 + number, "true_volume_ml": 3.0 + number}
            rows.append(Row(case=case, label=label, values={"dice": dice, **volumes}))
    return Table(tuple(rows))


def make(name: str, plan: Plan = PLAN, seed: int = 0, **arguments: object) -> nn.Module:
    """A network of ours with random weights."""
    config = Config(data=Data(root=Path("scans")), model=Part(name=name, **arguments))
    return shake(assemble_network(config, plan), seed)


def shake(network: nn.Module, seed: int = 0) -> nn.Module:
    """Every weight random, biases and normalisations too, so that a mix-up is seen."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() == 1:
                parameter.copy_(torch.randn(parameter.shape, generator=rng) * 0.2 + 0.3)
            else:
                parameter.add_(torch.randn(parameter.shape, generator=rng) * 0.02)
    return network.eval()


def changed(**changes: Any) -> Plan:
    """The plan with some fields changed."""
    return replace(PLAN, **changes)


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
