"""A network as plain data, name and arguments, and back: nothing but a name is ever looked up.

A bare name is a class of `delineate.models`. An import path is somebody's own code: it is imported
only if the reader trusts the package it lies in.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from delineate.assemble import assemble_network
from delineate.config import Config, Data, Part, resolve
from delineate.config.arguments import is_ours, parameters
from delineate.config.build import SUPPLIED
from delineate.engine.weights import misfit
from delineate.errors import ConfigError, DataError
from delineate.package.refusals import NotAPackage, PickleInside, UntrustedNetwork
from delineate.plan import Plan

__all__ = ["build_network", "refuse_untrusted", "spell_out", "unpack_weights"]

MODELS = "delineate.models"


def spell_out(part: Part) -> dict[str, Any]:
    """Name and arguments of a network, our own defaults written out: a later version may change
    them. What the plan supplies is left to the plan.
    """
    constructor = resolve(part.name, MODELS)
    defaults: dict[str, Any] = {}
    if is_ours(constructor):
        defaults = {
            name: parameter.default
            for name, parameter in parameters(constructor).items()
            if parameter.default is not parameter.empty and name not in SUPPLIED[MODELS]
        }
    return {"name": part.name, "arguments": {**defaults, **part.arguments}}


def build_network(
    entry: Mapping[str, Any], plan: Plan, state: Mapping[str, Tensor], *, trust: Sequence[str] = ()
) -> nn.Module:
    """The network that `spell_out` described, with these weights, in evaluation mode.

    Args:
        plan: Supplies the topology and the channels.
        state: Must have every weight of the network in its shape, and no other.
        trust: Packages or modules whose networks may be imported.
    """
    name, arguments = entry.get("name"), entry.get("arguments")
    if not (isinstance(name, str) and name and isinstance(arguments, dict)):
        raise NotAPackage("a network wants a 'name' and its 'arguments'.")
    refuse_untrusted(name, trust)
    part = Part.model_validate({**arguments, "name": name})
    if "." not in name:
        # Without memory first: sizes that only the description claims are never allocated.
        with torch.device("meta"):
            _refuse_misfit(name, _assemble(part, plan), state)
    network = _assemble(part, plan)
    _refuse_misfit(name, network, state)
    network.load_state_dict(dict(state))
    return network.eval()


def unpack_weights(data: bytes) -> dict[str, Tensor]:
    """The tensors of a safetensors file."""
    if (data[:1] == b"\x80" and data[8:9] != b"{") or data[:4] == b"PK\x03\x04":
        raise PickleInside("this is a pickle under another name, which could run any code.")
    try:
        return load(data)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise NotAPackage(f"this is no readable safetensors file ({error}).") from None


def refuse_untrusted(name: str, trust: Collection[str]) -> None:
    """An import path must lie, and lead to code that lies, in what is trusted."""
    if "." not in name:
        return
    if not _covers(trust, name):
        package = name.rpartition(".")[0]
        raise UntrustedNetwork(
            f"the network is '{name}', code that is not part of delineate and that reading the "
            f"model would run. Fix: if you trust it, say so: --trust {package} "
            f'(trust=("{package}",) in Python).'
        )
    # my_lab.nets.os.system begins like my_lab.nets, but is not my_lab's.
    home = getattr(resolve(name, MODELS), "__module__", None)
    if not isinstance(home, str) or not _covers(trust, home):
        raise UntrustedNetwork(
            f"the network '{name}' is code of {home}, which is not trusted "
            f"({', '.join(trust)} is). Fix: if you trust it, add --trust {home}."
        )


def _covers(trust: Collection[str], path: str) -> bool:
    return any(path == entry or path.startswith(f"{entry}.") for entry in trust if entry)


def _assemble(part: Part, plan: Plan) -> nn.Module:
    """As for training; there is no data, and the weights at the start are of no consequence."""
    network = assemble_network(Config(data=Data(root=Path()), model=part), plan)
    if not isinstance(network, nn.Module):
        raise ConfigError(f"'{part.name}' is a {type(network).__name__}, not a network.")
    return network


def _refuse_misfit(name: str, network: nn.Module, state: Mapping[str, Tensor]) -> None:
    wrong = misfit(network, state)
    if wrong:
        raise DataError(f"the weights do not fit the network {name}: {wrong}.")
