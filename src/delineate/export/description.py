"""A file beside an exported network that says how to use it: `<name>.json`."""

import json
from pathlib import Path
from typing import Any

from delineate import __version__
from delineate.export.difference import MOST_CHANGED, TOLERANCE, Difference
from delineate.export.scores import Scores, window_shape
from delineate.inference.model import Model
from delineate.inference.postprocess import steps_to_json
from delineate.io import atomic_path
from delineate.package import describe_preprocessing

__all__ = ["describe", "write_description"]


def write_description(path: Path, description: dict[str, Any]) -> None:
    """Save it beside the network at `path`, under the same name."""
    with atomic_path(path.with_suffix(".json")) as part:
        part.write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")


def describe(model: Model, scores: Scores, difference: Difference) -> dict[str, Any]:
    """What goes in, what comes out, and all that lies between a scan and a mask."""
    plan, labels = model.plan, model.labels
    _, channels, *window = window_shape(plan, 1)
    names = [leaf.name for leaf in labels.leaves]
    return {
        "written_by": f"delineate {__version__}",
        "disclaimer": "For research. Not a medical device.",
        "input": {
            "name": "image",
            "type": "float32",
            "shape": ["batch", channels, *window],
            "channels": list(plan.channels),
        },
        "output": {
            "name": "scores",
            "type": "float32",
            "shape": ["batch", labels.channels, *window],
            "kind": scores.kind,
            "channels": names if labels.overlapping else ["background", *names],
        },
        "preprocessing": describe_preprocessing(plan),
        "windows": {
            "shape": list(plan.patch),
            "slice_axis": plan.slice_axis,
            "least_overlap": model.overlap,
            "weights": "Gaussian with a deviation of an eighth of the window along each axis",
            "smaller_scans": "padded with zeros on both sides",
            "mirror_axes": list(model.flips),
            "channel_order_after_left_right_mirror": list(labels.mirror),
            "left_right_axis": plan.left_right,
        },
        "decision": {
            "grid": "scores are interpolated linearly to the scan's own grid, then decided",
            "rule": "highest score" if scores.threshold is None else "each score above threshold",
            "threshold": scores.threshold,
            "ids": [leaf.id for leaf in labels.leaves],
        },
        "postprocessing": steps_to_json(model.steps),
        "labels": labels.to_json(),
        "compared": {
            "on": difference.source,
            "largest_difference": difference.largest,
            "largest_score": difference.scale,
            "voxels": difference.voxels,
            "voxels_of_another_class": difference.changed,
            "tolerated": {"share_of_score": TOLERANCE, "share_of_voxels": MOST_CHANGED},
        },
    }
