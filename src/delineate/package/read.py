"""A model out of one file: checked first, then rebuilt by name; nothing in it is ever run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import torch
from torch import nn

from delineate.data.preprocess import PREPROCESSING
from delineate.errors import ConfigError, DataError, PlanError
from delineate.inference.domain import Domain
from delineate.inference.model import Combine, Model
from delineate.inference.postprocess import check_steps, steps_from_json
from delineate.package.archive import Archive, open_archive
from delineate.package.checks import MODEL
from delineate.package.networks import build_network, unpack_weights
from delineate.package.refusals import NotAPackage, PackageRefused
from delineate.plan import Plan, parse_plan

__all__ = ["read_card", "read_package"]


def read_package(
    path: Path, *, device: torch.device | str = "cpu", trust: Sequence[str] = ()
) -> Model:
    """The model in a package, its networks on `device` and in evaluation mode.

    Every member is compared with its SHA-256 before it is used. Weights are safetensors; networks
    are built by name from `delineate.models`.

    Args:
        path: What `delineate package` wrote; anything else is refused with a name.
        trust: Packages, such as `my_lab`, whose networks may be imported: that runs their code.
    """
    path = Path(path)
    with open_archive(path) as archive:
        plan = _plan(archive)
        inference = _inference(archive, plan)
        steps = steps_from_json(_listed(archive, "postprocessing.json"))
        check_steps(steps, plan.labels)
        domain = None
        if "domain.json" in archive.names:
            domain = Domain.from_json(archive.read_json("domain.json"))
        entries = _listed(archive, "networks.json")
        if not entries:
            raise NotAPackage(f"{path}: networks.json names no network.")
        networks = tuple(_network(archive, entry, plan, trust) for entry in entries)
    model = Model(networks=networks, plan=plan, steps=steps, domain=domain, **inference)
    return model.to(device)


def read_card(path: Path) -> str:
    """The model card, in Markdown."""
    with open_archive(Path(path)) as archive:
        return archive.read("card.md").decode("utf-8", errors="replace")


def _plan(archive: Archive) -> Plan:
    where = f"{archive.path}: plan.json"
    try:
        return parse_plan(archive.read("plan.json").decode("utf-8"), where)
    except UnicodeDecodeError as error:
        raise NotAPackage(f"{where}: cannot be read: {error}.") from None
    except PlanError as error:
        raise NotAPackage(str(error)) from None


def _inference(archive: Archive, plan: Plan) -> dict[str, Any]:
    """How the networks are asked; a preprocessing that is not ours gives other masks."""
    data = archive.read_json("inference.json")
    wrong = NotAPackage(f"{archive.path}: inference.json is not as it must be: {str(data)[:200]}")
    if not isinstance(data, dict) or data.keys() != {
        "overlap",
        "flips",
        "combine",
        "preprocessing",
    }:
        raise wrong
    overlap, flips, combine = data["overlap"], data["flips"], data["combine"]
    right = (
        type(overlap) in (int, float)
        and 0 <= overlap < 1
        and isinstance(flips, list)
        and all(type(axis) is int and axis in plan.seen_axes for axis in flips)
        and combine in get_args(Combine)
    )
    if not right:
        raise wrong
    if data["preprocessing"] != PREPROCESSING:
        raise NotAPackage(
            f"{archive.path}: its scans were prepared by the rules of version "
            f"{str(data['preprocessing'])[:20]}, and these are version {PREPROCESSING}: its masks "
            "would differ. Fix: install the version of delineate that manifest.json names."
        )
    return {"overlap": float(overlap), "flips": tuple(flips), "combine": combine}


def _listed(archive: Archive, name: str) -> list[Mapping[str, Any]]:
    data = archive.read_json(name)
    if not isinstance(data, list) or not all(isinstance(entry, dict) for entry in data):
        raise NotAPackage(f"{archive.path}: {name} must be a list of objects.")
    return data


def _network(
    archive: Archive, entry: Mapping[str, Any], plan: Plan, trust: Sequence[str]
) -> nn.Module:
    name = entry.get("weights")
    if not isinstance(name, str) or not MODEL.is_large(name):
        raise NotAPackage(f"{archive.path}: networks.json does not say where the weights are.")
    try:
        state = unpack_weights(archive.read(name))
    except PackageRefused as error:
        told = str(error)
        where = "" if told.startswith(str(archive.path)) else f"{archive.path}: {name}: "
        raise type(error)(f"{where}{told}") from None
    try:
        return build_network(entry, plan, state, trust=trust)
    except (DataError, ConfigError) as error:
        raise type(error)(f"{archive.path}: {error}") from None
