"""A model as a MONAI bundle: a folder that `python -m monai.bundle run` runs without `delineate`.

configs/inference.json, configs/metadata.json   what is done, and what goes in and comes out
models/model.pt                                 weights of one of MONAI's own networks, or
models/model.pt2, scripts/network.py            the exported graph, where MONAI has none
docs/README.md                                  how to run it, and what it leaves out
"""

import json
import shutil
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from delineate import __version__
from delineate.errors import ConfigError, require
from delineate.export.bundle_config import describe_inference, left_out
from delineate.export.difference import Difference, ExportDiffers, measure, refuse_far
from delineate.export.monai_networks import Twin, find_twin
from delineate.export.program import quietly, save_program
from delineate.export.scores import Scores, scores_of, window_shape
from delineate.export.windows import Sample
from delineate.inference.model import Model
from delineate.inference.postprocess import KeepLargest
from delineate.plan import Plan

__all__ = ["export_bundle"]

NATIVE = "models/model.pt"
PROGRAM = "models/model.pt2"
SCRIPT = '''\
"""The exported network of this bundle."""

import torch
from torch.export.passes import move_to_device_pass


class Exported(torch.nn.Module):
    """A graph of torch.export, in evaluation mode for good."""

    def __init__(self, path: str, device: torch.device) -> None:
        super().__init__()
        program = torch.export.load(path)
        self.graph = move_to_device_pass(program, str(device)).module()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Scores of a batch of windows."""
        return self.graph(image.as_tensor() if hasattr(image, "as_tensor") else image)

    def train(self, mode: bool = True) -> "Exported":
        """The graph has no other mode."""
        return self
'''
README = """\
# {title}

**For research. Not a medical device.** Segments {classes} in {channels}.

Put scans into `data/` ({files}), then, in this folder:

```
pip install {packages}
python -m monai.bundle run --config_file configs/inference.json --meta_file configs/metadata.json
```

Masks appear in `eval/`, under the names of the scans; `--dataset_dir` and `--output_dir` are other
places.

Network: {network}. Compared with the trained one: {difference}.

{left_out}
"""


def export_bundle(model: Model, out: Path, *, sample: Sample) -> Difference:
    """Write the bundle to the new or empty folder `out`; the network's difference from eager.

    A network that differs beyond the tolerance is an ExportDiffers, and nothing is written.
    """
    require("monai", extra="monai")
    _refuse_pictures(model.plan)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out}: is there already. Fix: choose another folder for the bundle.")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".bundle-") as folder:
        draft = Path(folder) / "bundle"
        difference = _write(model, draft, sample, name=str(out))
        if out.exists():
            out.rmdir()
        shutil.move(draft, out)
    return difference


def _write(model: Model, folder: Path, sample: Sample, *, name: str) -> Difference:
    for part in ("configs", "models", "docs"):
        (folder / part).mkdir(parents=True)
    scores = scores_of(model)
    network, handlers, difference = _network(model, scores, folder, sample, name)
    config = describe_inference(model, scores, network, handlers)
    _write_json(folder / "configs" / "inference.json", config)
    _write_json(folder / "configs" / "metadata.json", _metadata(model))
    readme = _readme(model, network["_target_"], difference)
    (folder / "docs" / "README.md").write_text(readme, encoding="utf-8")
    return difference


def _network(
    model: Model, scores: Scores, folder: Path, sample: Sample, name: str
) -> tuple[dict[str, Any], list[dict[str, Any]], Difference]:
    """`network_def`, handlers and the difference; the weights are written."""
    twin = find_twin(model.networks[0], model.plan) if len(model.networks) == 1 else None
    if twin is not None:
        try:
            difference = _save_twin(twin, scores, folder / NATIVE, sample, name)
        except ExportDiffers:
            twin = None  # arguments of the network's own, which the plan does not know of
        else:
            loader = {
                "_target_": "CheckpointLoader",
                "load_path": f"$@bundle_root + '/{NATIVE}'",
                "load_dict": {"model": "@network"},
                "map_location": "@device",
            }
            return {"_target_": twin.name, **twin.arguments}, [loader], difference
    difference = save_program(scores, model.plan, folder / PROGRAM, sample=sample, name=name)
    (folder / "scripts").mkdir()
    (folder / "scripts" / "__init__.py").touch()
    (folder / "scripts" / "network.py").write_text(SCRIPT, encoding="utf-8")
    target = {
        "_target_": "scripts.network.Exported",
        "path": f"$@bundle_root + '/{PROGRAM}'",
        "device": "@device",
    }
    return target, [], difference


def _save_twin(twin: Twin, scores: Scores, path: Path, sample: Sample, name: str) -> Difference:
    from monai.networks import nets

    with quietly():
        network: nn.Module = getattr(nets, twin.name)(**twin.arguments).eval()
        try:
            odd = network.load_state_dict(twin.weights, strict=False)
        except RuntimeError as error:
            raise ExportDiffers(f"{name}: MONAI's {twin.name} is of another shape.") from error
        if odd.unexpected_keys:
            raise ExportDiffers(f"{name}: MONAI's {twin.name} has no {odd.unexpected_keys[0]}.")
        difference = measure(scores, network, sample.batches, sample.source)
        refuse_far(difference, name)
        # MONAI's own form: a plain mapping of tensors, which it reads with weights_only.
        torch.save({"model": dict(network.state_dict())}, path)
    return difference


def _refuse_pictures(plan: Plan) -> None:
    if len(plan.patch) == 2:
        raise ConfigError(
            "a bundle is written for volumes only, and this model is for pictures. "
            "Fix: --to onnx or --to torch."
        )


def _metadata(model: Model) -> dict[str, Any]:
    plan, labels = model.plan, model.labels
    _, channels, *window = window_shape(plan, 1)
    names = [leaf.name for leaf in labels.leaves]
    outputs = names if labels.overlapping else ["background", *names]
    data = {"type": "image", "spatial_shape": window, "dtype": "float32", "value_range": []}
    return {
        "version": "0.1.0",
        "changelog": {"0.1.0": f"exported by delineate {__version__}"},
        "monai_version": version("monai"),
        "pytorch_version": torch.__version__.partition("+")[0],
        "numpy_version": version("numpy"),
        "required_packages_version": {
            package: found for package in _packages(model) if (found := _version(package))
        },
        "task": f"Segmentation of {', '.join(labels.names)}",
        "description": f"Segments {', '.join(labels.names)} in {', '.join(plan.channels)}.",
        "authorship": "not stated",
        "copyright": "not stated",
        "intended_use": "Research only. Not a medical device.",
        "label_classes": {name: leaf.id for name, leaf in zip(names, labels.leaves, strict=True)},
        "network_data_format": {
            "inputs": {
                "image": {
                    **data,
                    "format": "magnitude",
                    "modality": "n/a",
                    "num_channels": channels,
                    "is_patch_data": True,
                    "channel_def": {str(i): name for i, name in enumerate(plan.channels)},
                }
            },
            "outputs": {
                "pred": {
                    **data,
                    "format": "segmentation",
                    "num_channels": labels.channels,
                    "is_patch_data": True,
                    "channel_def": {str(i): name for i, name in enumerate(outputs)},
                }
            },
        },
    }


def _packages(model: Model) -> list[str]:
    """What must be installed beside MONAI and PyTorch."""
    largest = any(isinstance(step, KeepLargest) for step in model.steps)
    return ["nibabel", "scipy", "pytorch-ignite", "fire", *(["scikit-image"] if largest else [])]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _readme(model: Model, target: str, difference: Difference) -> str:
    channels = model.plan.channels
    endings = ", ".join(f"_{i:04}.nii.gz is {name}" for i, name in enumerate(channels))
    missing = left_out(model)
    several = len(model.networks) > 1
    return README.format(
        title=f"Segmentation of {', '.join(model.labels.names)}",
        classes=", ".join(model.labels.names),
        channels=", ".join(channels),
        files=endings if len(channels) > 1 else "files that end in .nii.gz",
        packages=" ".join(["monai", *_packages(model)]),
        network=target + (f", the mean of {len(model.networks)}" if several else ""),
        difference=difference,
        left_out=(
            f"Left out of the bundle, so that its masks differ: {'; '.join(missing)}."
            if missing
            else "Masks differ a little from delineate's own: MONAI places windows and resampled "
            "grids in its own way."
        ),
    )


def _write_json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
