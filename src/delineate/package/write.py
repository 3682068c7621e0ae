"""A model into one file."""

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from safetensors.torch import save
from torch import nn

from delineate.config import Part
from delineate.data.preprocess import PREPROCESSING
from delineate.engine.weights import separate
from delineate.inference.model import Model
from delineate.inference.postprocess import steps_to_json
from delineate.package.archive import write_archive
from delineate.package.networks import spell_out
from delineate.package.preprocessing import describe_preprocessing
from delineate.package.privacy import refuse_private
from delineate.plan import Plan, write_plan

__all__ = ["write_package"]


def write_package(
    path: Path,
    model: Model,
    parts: tuple[Part, ...],
    *,
    card: str,
    private: Collection[str] = (),
) -> None:
    """Write the model; the same model and card give the same bytes.

    Args:
        path: The archive; replaced at once or not at all.
        model: What predicts.
        parts: Each of its networks as a configuration names it, in the same order.
        card: Markdown.
        private: Words that no text may hold, such as names of cases and folders: a PrivateText.
    """
    texts = _texts(model, parts, card)
    refuse_private(path, texts, private)
    write_archive(path, _members(texts, model.networks))


def _texts(model: Model, parts: tuple[Part, ...], card: str) -> dict[str, str]:
    plan = model.plan
    networks = [
        {**spell_out(part), "weights": _weights_name(number)}
        for number, part in zip(range(len(model.networks)), parts, strict=True)
    ]
    inference = {
        "overlap": model.overlap,
        "flips": list(model.flips),
        "combine": model.combine,
        "preprocessing": PREPROCESSING,
    }
    data: dict[str, Any] = {
        "networks.json": networks,
        "inference.json": inference,
        "labels.json": plan.labels.to_json(),
        "preprocessing.json": describe_preprocessing(plan),
        "postprocessing.json": steps_to_json(model.steps),
    }
    if model.domain is not None:
        data["domain.json"] = model.domain.to_json()
    texts = {name: json.dumps(value, indent=1) + "\n" for name, value in data.items()}
    return {"card.md": card, "plan.json": _plan_text(plan)} | texts


def _members(
    texts: Mapping[str, str], networks: tuple[nn.Module, ...]
) -> Iterator[tuple[str, bytes]]:
    """Texts first, so that they can be read without fetching the weights."""
    for name in sorted(texts):
        yield name, texts[name].encode()
    for number, network in enumerate(networks):
        yield _weights_name(number), save(separate(network.state_dict()))


def _weights_name(number: int) -> str:
    return f"weights/{number}.safetensors"


def _plan_text(plan: Plan) -> str:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "plan.json"
        write_plan(plan, path)
        return path.read_text(encoding="utf-8")
