"""TrainedNetwork weights against one split: every sample as a whole, gated by presence.

Samples are read as training reads them: canonical axes, normalised and resampled by the plan that
the weights were trained with. Masks are compared on the files' own grid.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from delineate.data import Prepared, preprocess, restore
from delineate.engine.hardware import choose_device
from delineate.errors import DataError
from delineate.inference import Windows, predict_logits
from delineate.io import Volume, atomic_path, read_mask, read_volume
from delineate.labels import Labels
from delineate.metrics import Row, Table, count, write_table
from delineate.models.foreign import as_output
from delineate.plan import Plan
from delineate.systems.sadaan.dataset import HDF5MedicalDataset
from delineate.systems.sadaan.detailed_metrics import Findings, detail
from delineate.systems.sadaan.evaluation_report import report_text
from delineate.systems.sadaan.pictures import draw_sample
from delineate.systems.sadaan.trained import TrainedNetwork, load_trained

__all__ = ["Evaluation", "evaluate", "evaluate_checkpoint", "write_evaluation"]

See = Callable[[int, np.ndarray], None]
"""Is shown the place of each sample and its predicted masks (structures, *s) 0/1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """How weights are evaluated."""

    split: str = "test"
    device: str = "auto"
    presence_threshold: float | None = None
    """A structure is called present from this probability on; None is that of the training."""
    max_vis_samples: int = 20
    """So many samples are drawn, evenly along the file."""


def evaluate_checkpoint(
    weights: str | Path, dataset: str | Path, output: str | Path, how: Evaluation | None = None
) -> dict[str, Any]:
    """Evaluate a .pth file and write everything below `output`; the detailed metrics.

    Written are detailed_metrics.json, evaluation_report.txt, table.csv (a row for each sample and
    structure, which `delineate compare` reads) and visualizations/*.png.
    """
    how = how or Evaluation()
    samples = HDF5MedicalDataset(dataset, how.split)
    if not len(samples):
        raise DataError(f"{samples.path}: holds no sample to evaluate.")
    trained = load_trained(Path(weights))
    _check_names(trained, samples, weights)
    out = Path(output)
    shown = set(np.linspace(0, len(samples) - 1, min(how.max_vis_samples, len(samples)), dtype=int))
    predicted: dict[int, np.ndarray] = {}

    def keep(place: int, masks: np.ndarray) -> None:
        if place in shown:
            predicted[place] = np.packbits(masks.astype(bool))

    threshold = how.presence_threshold
    found = evaluate(
        trained,
        samples,
        threshold=trained.presence_threshold if threshold is None else threshold,
        device=choose_device(how.device),
        see=keep,
    )
    metrics = write_evaluation(found, out, _facts(weights, trained, samples))
    for place, packed in predicted.items():
        shape = read_mask(samples.reference("masks", place)).array.shape
        masks = np.unpackbits(packed, count=int(np.prod(shape))).reshape(shape)
        draw_sample(samples, place, masks, found, out / "visualizations")
    return metrics


def evaluate(
    trained: TrainedNetwork,
    samples: HDF5MedicalDataset,
    *,
    threshold: float,
    device: str = "cpu",
    see: See | None = None,
) -> Findings:
    """Presence and overlap of every sample of a split.

    Args:
        trained: Its network is moved to `device` and put in evaluation mode.
        samples: The split.
        threshold: Of the probability that a structure is present.
        device: Where the network runs.
        see: Is shown each sample's masks as they are made.
    """
    trained.network.to(device).eval()
    labels = Labels.from_names(
        {name: i for i, name in enumerate(samples.structure_names, 1)}, overlapping=True
    )
    rows: list[dict[str, Sequence[float]]] = []
    for place in range(len(samples)):
        volume = read_volume(samples.reference("images", place))
        truth = (read_mask(samples.reference("masks", place)).array > 0).astype(np.uint8)
        masks, probability = _predict(trained, volume, len(truth), device)
        masks = masks * (probability >= threshold)[:, None, None, None].astype(np.uint8)
        counts = count(masks, truth, labels).values()
        rows.append(
            {
                "probability": probability.tolist(),
                "dice": [c.dice for c in counts],
                "iou": [c.iou for c in counts],
                "true_voxels": [c.true for c in counts],
                "predicted_voxels": [c.predicted for c in counts],
            }
        )
        if see is not None:
            see(place, masks)
    return Findings(
        structures=samples.structure_names,
        scenarios=samples.scenarios,
        present=_declared(samples, np.array([row["true_voxels"] for row in rows])),
        threshold=threshold,
        **{name: np.array([row[name] for row in rows]) for name in rows[0]},
    )


def write_evaluation(found: Findings, out: Path, facts: dict[str, str]) -> dict[str, Any]:
    """Write the figures, the report and the table; the content of detailed_metrics.json."""
    metrics = detail(found)
    texts = {
        "detailed_metrics.json": json.dumps(metrics, indent=2, allow_nan=False) + "\n",
        "evaluation_report.txt": report_text(found, metrics, facts),
    }
    for name, text in texts.items():
        with atomic_path(out / name) as part:
            part.write_text(text, encoding="utf-8")
    write_table(_table(found), out / "table.csv")
    return metrics


def _predict(
    trained: TrainedNetwork, volume: Volume, structures: int, device: str
) -> tuple[np.ndarray, np.ndarray]:
    """Masks (structures, *s) 0/1 before gating, and the probability of each structure."""
    prepared = _prepare(volume, trained.plan)
    # One window that holds the whole sample: presence and position are of the whole.
    least = prepared.shape if trained.plan is None else trained.plan.patch
    patch = tuple(max(own, side) for own, side in zip(prepared.shape, least, strict=True))
    seen: list[Tensor] = []

    def look(crops: Tensor) -> Tensor:
        logits, presence = _ask(trained.network, crops)
        seen.append(presence)
        return logits

    logits = predict_logits(
        look,
        torch.from_numpy(prepared.array),
        Windows(patch=patch),
        channels=structures,
        device=device,
    )
    masks = restore(logits.cpu().numpy(), prepared, threshold=0.0)
    return masks, seen[0][0].double().sigmoid().cpu().numpy()


def _ask(network: nn.Module, crops: Tensor) -> tuple[Tensor, Tensor]:
    output = as_output(network(crops))
    if output.logits is None or output.presence is None:
        raise DataError(
            "the network gives no masks or no presence. Fix: evaluate a network with both, "
            "such as SADAAN."
        )
    return output.logits, output.presence.float()


def _prepare(volume: Volume, plan: Plan | None) -> Prepared:
    """By the plan; without one, the values as they are stored."""
    if plan is not None:
        return preprocess(volume, plan)
    return Prepared(
        array=np.ascontiguousarray(volume.array, np.float32),
        box=tuple((0, size) for size in volume.shape),
        source_shape=volume.shape,
        spacing=volume.spacing,
        separate_axis=None,
    )


def _declared(samples: HDF5MedicalDataset, true_voxels: np.ndarray) -> np.ndarray:
    """(samples, structures) bool, by the masks where the file does not say (or says -1)."""
    if samples.presence is None:
        return true_voxels > 0
    return np.where(samples.presence < 0, true_voxels > 0, samples.presence > 0)


def _check_names(trained: TrainedNetwork, samples: HDF5MedicalDataset, weights: str | Path) -> None:
    known, asked = trained.structure_names, samples.structure_names
    if known != asked:
        raise DataError(
            f"{weights}: was trained for {len(known)} structures ({', '.join(known)}), but the "
            f"data set has {len(asked)} ({', '.join(asked)}). Fix: evaluate it on data with the "
            "same structures in the same order."
        )


def _table(found: Findings) -> Table:
    columns = {
        "dice": found.dice,
        "iou": found.iou,
        "presence_probability": found.probability,
        "truly_present": found.present,
        "presence_accuracy": found.right,
        "present_voxels": found.predicted_voxels,
    }
    return Table(
        tuple(
            Row(
                case=f"{place:05d}",
                label=name,
                values={column: float(values[place, i]) for column, values in columns.items()},
            )
            for place in range(len(found.scenarios))
            for i, name in enumerate(found.structures)
        )
    )


def _facts(
    weights: str | Path, trained: TrainedNetwork, samples: HDF5MedicalDataset
) -> dict[str, str]:
    epoch = "" if trained.epoch is None else f", after epoch {trained.epoch + 1}"
    return {
        "weights": f"{weights}{epoch}",
        "data": f"{samples.path}: {len(samples)} samples, {samples.num_structures} structures",
        "made on": f"{datetime.now():%Y-%m-%d %H:%M}",
    }
