"""What a network's values are, and each form that losses and figures want of them.

An experiment may name activations in three places: `out_activation` of the network,
`last_activation`, and sigmoid or softmax among the postprocessing; a loss may contain one, too. It
is done once: a network of ours puts out logits whatever it was told, and each loss gets what it is
made for:

    logits              BCEWithLogitsLoss, CrossEntropyLoss, DiceLoss, FocalLoss, ours
    probabilities       BCELoss, DuckNetDiceLoss, MSELoss, L1Loss, SmoothL1Loss
    log probabilities   NLLLoss, KLDivLoss
    the output          a loss of one's own: what the network was told to put out

Values that a network of one's own has already put through an activation are taken back to logits
where logits are wanted.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from delineate.errors import ConfigError

__all__ = ["ACTIVATIONS", "Activation", "Form", "Wanted", "choose_form"]

log = logging.getLogger("delineate")

Activation = Literal["identity", "sigmoid", "softmax"]
Wanted = Literal["logits", "probabilities", "log probabilities", "output"]
TINY = 1e-6
ACTIVATIONS = ("sigmoid", "softmax", "argmax")
"""Steps of the postprocessing that are the last activation's."""
NAMES: dict[str, Activation] = {
    "none": "identity",
    "null": "identity",
    "linear": "identity",
    "identity": "identity",
    "sigmoid": "sigmoid",
    "softmax": "softmax",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How the values of a network are to be read."""

    channels: int
    final: Activation
    """What makes probabilities of logits; identity where the values are taken as they are."""
    inner: Activation = "identity"
    """What the network itself has done to its values."""
    told: Activation = "identity"
    """out_activation, which a loss of one's own sees."""

    def logits(self, values: Tensor) -> Tensor:
        """Before any activation."""
        values = values.float()
        if self.inner == "sigmoid":
            return values.logit(eps=TINY)
        return values.clamp(min=TINY).log() if self.inner == "softmax" else values

    def probabilities(self, values: Tensor) -> Tensor:
        """After one."""
        values = values.float()
        return values if self.inner != "identity" else _activated(values, self.final)

    def give(self, wanted: Wanted, values: Tensor) -> Tensor:
        """The values (b, k, ...) in the form that a loss wants."""
        match wanted:
            case "logits":
                return self.logits(values)
            case "probabilities":
                return self.probabilities(values)
            case "log probabilities":
                logits = self.logits(values)
                if self.final == "softmax":
                    return logits.log_softmax(1)
                return torch.nn.functional.logsigmoid(logits)
        return _activated(values.float(), self.told)


def choose_form(
    *,
    out: str | None,
    last: str,
    post: Iterable[str],
    channels: int,
    is_own: bool,
    inner: str = "identity",
) -> Form:
    """The one activation of an experiment; what would be two is told.

    Args:
        out: `out_activation`, of a network that does not take it itself.
        last: `last_activation`.
        post: The names of the postprocessing.
        is_own: A network of one's own without any activation is taken as it is.
        inner: What the network was told to end with, and does itself.
    """
    told, ended = _known("out_activation", out), _known("out_activation", inner)
    wishes: list[tuple[str, Activation]] = [
        ("out_activation", told if told != "identity" else ended),
        ("last_activation", _known("last_activation", last)),
        *(("postprocess", NAMES[name]) for name in post if name in ("sigmoid", "softmax")),
    ]
    asked: list[tuple[str, Activation]] = [wish for wish in wishes if wish[1] != "identity"]
    if channels == 1:
        # Softmax of a single channel is 1 everywhere.
        asked = [(where, NAMES["sigmoid"]) for where, _ in asked]
    if len(asked) > 1:
        places = ", ".join(f"{where}: {kind}" for where, kind in asked)
        # What says the same twice is as common as it is harmless.
        level = logging.INFO if len({kind for _, kind in asked}) == 1 else logging.WARNING
        log.log(level, "%s: the activation is done once, not %d times.", places, len(asked))
    named: dict[str, Activation] = dict(reversed(asked))
    final: Activation = "identity"
    for place in ("postprocess", "out_activation", "last_activation"):
        final = named.get(place, final)
    if final == "identity" and not is_own:
        final = "sigmoid" if channels == 1 else "softmax"
        log.info("no activation is named: probabilities are the %s of the output.", final)
    return Form(channels=channels, final=final, inner=ended, told=told)


def _known(key: str, name: str | None) -> Activation:
    found = NAMES.get(str(name).lower()) if name is not None else "identity"
    if found is None:
        raise ConfigError(f"{key} is {name}. Fix: sigmoid, softmax or null.")
    return found


def _activated(values: Tensor, kind: Activation) -> Tensor:
    if kind == "softmax":
        return values.softmax(1) if values.shape[1] > 1 else values.sigmoid()
    return values.sigmoid() if kind == "sigmoid" else values
