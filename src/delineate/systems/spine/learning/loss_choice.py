"""The loss that an experiment names, given the network's values in the form it is made for."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from delineate import losses as published
from delineate.config import Part, build
from delineate.config.arguments import parameters, wrong_arguments
from delineate.config.words import did_you_mean
from delineate.errors import ConfigError
from delineate.systems.spine.learning.given_loss import GivenLoss, Rows, Sum, Term
from delineate.systems.spine.learning.losses import (
    DiceLoss,
    DuckNetDiceLoss,
    FocalLoss,
    WeightedCrossEntropy,
)
from delineate.systems.spine.networks.activation import Form, Wanted
from delineate.systems.spine.schema.bases import BaseLoss
from delineate.systems.spine.schema.own_files import find_own, own_folders, own_names
from delineate.systems.spine.schema.settings import Named

__all__ = ["NAMES", "Case", "build_loss"]

log = logging.getLogger("delineate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a loss has to know of the experiment."""

    form: Form
    task: str
    folder: Path | None = None
    """`directory.model`."""
    class_weight: Sequence[float] | None = None


NAMES: dict[str, tuple[Callable[..., nn.Module], Wanted]] = {
    "MSELoss": (nn.MSELoss, "probabilities"),
    "CrossEntropyLoss": (nn.CrossEntropyLoss, "logits"),
    "BCELoss": (nn.BCELoss, "probabilities"),
    "L1Loss": (nn.L1Loss, "probabilities"),
    "NLLLoss": (nn.NLLLoss, "log probabilities"),
    "KLDivLoss": (partial(nn.KLDivLoss, reduction="batchmean"), "log probabilities"),
    "SmoothL1Loss": (nn.SmoothL1Loss, "probabilities"),
    "BCEWithLogitsLoss": (nn.BCEWithLogitsLoss, "logits"),
    "DiceLoss": (DiceLoss, "logits"),
    "DuckNetDiceLoss": (DuckNetDiceLoss, "probabilities"),
    "FocalLoss": (FocalLoss, "logits"),
    "WeightedCrossEntropy": (WeightedCrossEntropy, "logits"),
}
"""What makes each loss, and the form that it takes."""
WEIGHTED = {
    "CrossEntropyLoss": "weight",
    "NLLLoss": "weight",
    "WeightedCrossEntropy": "weight",
    "BCEWithLogitsLoss": "pos_weight",
    "FocalLoss": "alpha",
}
"""The argument that `class_weight` is."""
HAS_ACTIVATION = {"CrossEntropyLoss", "BCEWithLogitsLoss", "DiceLoss"}


def build_loss(named: Named, case: Case) -> nn.Module:
    """The loss, from values (b, k, ...) as the network returns them and a truth (b, k, ...)."""
    if named.name == "CombinedLoss":
        return _combined(named, case)
    own = find_own(named.name, own_folders(case.folder, Path.cwd()), BaseLoss)
    if own in _TORCH:
        named = Named(name=_TORCH[own], params=named.params)
    elif own is not None and not named.name.startswith("delineate."):
        return GivenLoss(_made(own, named, {}), "output", case.form)
    if named.name in NAMES:
        return _documented(named, case)
    bare = named.name.rpartition(".")[2]
    if bare not in _ours():
        known = [*NAMES, "CombinedLoss", *_ours()]
        files = own_names(own_folders(case.folder, Path.cwd()))
        raise ConfigError(
            f"model.loss '{named.name}' is unknown.{did_you_mean(named.name, [*known, *files])} "
            f"There are: {', '.join(known)}; files of your own: {', '.join(files) or 'none'}; any "
            "other is named in full: package.Loss."
        )
    _refuse_weights(named, case)
    try:
        term = build(
            Part(name=bare, **named.params),
            "delineate.losses",
            overlapping=case.form.final != "softmax",
        )
    except ConfigError as error:
        raise ConfigError(f"model.loss: {error}") from None
    return GivenLoss(Term(term, case.form, case.task), "logits", case.form)


def _documented(named: Named, case: Case) -> nn.Module:
    name, form = named.name, case.form
    if name in ("CrossEntropyLoss", "NLLLoss") and form.channels == 1:
        # Cross-entropy of one channel is 0 whatever it says; of (0, x) it is this.
        log.warning("%s of a single channel is taken as BCEWithLogitsLoss.", name)
        name = "BCEWithLogitsLoss"
        kept = {k: v for k, v in named.params.items() if k in ("reduction", "weight")}
        named = Named(name=name, params=kept)
    if name in HAS_ACTIVATION and {form.told, form.inner} != {"identity"}:
        log.warning(
            "out_activation and %s both have an activation: it is done once, in the loss.", name
        )
    maker, wanted = NAMES[name]
    supplied: dict[str, Any] = {}
    if name == "FocalLoss":
        supplied["exclusive"] = form.final == "softmax" and form.channels > 1
    if case.class_weight is not None:
        if name not in WEIGHTED:
            _refuse_weights(named, case)
        supplied[WEIGHTED[name]] = _weights(name, case)
    loss = _made(maker, named, supplied, label=name)
    if name in ("BCELoss", "BCEWithLogitsLoss") and case.task == "segmentation":
        _spread(loss)
    if name == "KLDivLoss":
        loss = Rows(loss)
    ids = name == "NLLLoss" or (name == "CrossEntropyLoss" and case.task == "segmentation")
    return GivenLoss(loss, wanted, form, ids=ids)


def _weights(name: str, case: Case) -> Any:
    """The class weights in the form that the argument has."""
    assert case.class_weight is not None
    weights = [float(w) for w in case.class_weight]
    channels = case.form.channels
    if len(weights) != max(2, channels):
        raise ConfigError(
            f"model.class_weight has {len(weights)} numbers for {max(2, channels)} classes."
        )
    if channels == 1 and name == "BCEWithLogitsLoss":
        return [weights[1] / weights[0]]
    if channels == 1 and name == "FocalLoss":
        return weights[1] / sum(weights)
    return weights


def _made(
    maker: Callable[..., Any], named: Named, supplied: Mapping[str, Any], label: str | None = None
) -> nn.Module:
    """The loss from its arguments, compared with what it takes first; lists become tensors."""
    label = label or named.name
    known = parameters(maker)
    own = {k: v for k, v in named.params.items() if k not in ("size_average", "reduce")}
    given = {k: v for k, v in supplied.items() if k not in own and k in known}
    plain = {k: tuple(v) if isinstance(v, list) else v for k, v in own.items()}
    wrong = [text for _, text in wrong_arguments(maker, plain, given)]
    if wrong:
        raise ConfigError("\n".join(f"model.loss {label}: {text}" for text in wrong))
    arguments = {**given, **plain}
    if getattr(maker, "__module__", "").startswith("torch") or isinstance(maker, partial):
        arguments = {k: _as_tensor(v) for k, v in arguments.items()}
    try:
        return maker(**arguments)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"model.loss {label} refuses its params: {error}") from error


def _spread(loss: nn.Module) -> None:
    """Weights of channels, for every pixel."""
    for name, weight in list(loss.named_buffers()):
        if weight is not None and weight.dim() == 1:
            setattr(loss, name, weight[:, None, None])


def _as_tensor(value: Any) -> Any:
    return torch.tensor(value, dtype=torch.float32) if isinstance(value, list | tuple) else value


def _combined(named: Named, case: Case) -> Sum:
    """`losses`: a list of {name, weight, params}."""
    entries = named.params.get("losses")
    unknown = sorted(named.params.keys() - {"losses"})
    if unknown or not isinstance(entries, list | tuple) or not entries:
        raise ConfigError(
            f"model.loss CombinedLoss: wants losses: a list of {{name, weight, params}}"
            f"{', not ' + ', '.join(unknown) if unknown else ''}."
        )
    parts = []
    for entry in entries:
        entry = {"name": entry} if isinstance(entry, str) else dict(entry)
        weight = entry.pop("weight", 1.0)
        if not isinstance(weight, int | float) or weight < 0:
            raise ConfigError(f"model.loss CombinedLoss: weight {weight} is no number from 0 on.")
        loss = build_loss(Named.model_validate(entry), case)
        parts.append((float(weight), loss))
    return Sum(parts)


def _refuse_weights(named: Named, case: Case) -> None:
    if case.class_weight is not None:
        raise ConfigError(
            f"model.class_weight: {named.name} has no weights of classes. "
            f"Fix: one of {', '.join(WEIGHTED)}."
        )


def _ours() -> list[str]:
    return sorted(
        name
        for name in set(published.__all__) - {"Term", "WeightedSum", "as_term", "Ramp"}
        if callable(getattr(published, name))
    )


_TORCH = {maker: name for name, (maker, _) in NAMES.items() if isinstance(maker, type)} | {
    nn.KLDivLoss: "KLDivLoss"
}
