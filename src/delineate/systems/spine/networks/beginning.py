"""What a network begins with: weights of a file or of a house that publishes them, frozen parts."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import nn

from delineate.engine.adaptation import Ends
from delineate.engine.foreign_weights import Source, read_source
from delineate.engine.transfer import transfer
from delineate.engine.transfer_report import Report
from delineate.errors import ConfigError, DataError
from delineate.models.any_size import AnySize
from delineate.systems.spine.networks.classifiers import published
from delineate.systems.spine.schema.settings import Directory, Model

__all__ = ["begin_with", "frozen_parts", "is_windows_path"]

log = logging.getLogger("delineate")

HEADS = ("fc", "head", "heads", "classifier", "presence", "out")
"""Parts that give the answer, which a frozen network still learns."""
_DRIVE = re.compile(r"[A-Za-z]:[\\/]|\\\\")


def begin_with(
    network: nn.Module, model: Model, directory: Directory, *, channels: int, beside: Path
) -> Report | None:
    """Put the weights that `pretrained` names into the network, as far as they fit.

    What became of each weight is reported; None where the network begins afresh. A file that brings
    less than a tenth of the network is a DataError.

    Args:
        channels: That the network puts out.
        beside: The folder of the experiment's file.
    """
    wanted = model.params.get("pretrained")
    if wanted in (None, False, ""):
        return None
    if wanted is True:
        counts = {"in_channels": model.params.get("in_channels", 1), "out_channels": channels}
        theirs = published(model.name, model.params, **counts)
        source, name = Source(state=theirs.state_dict(), kind="timm"), "timm"
    elif is_windows_path(str(wanted)):
        log.warning("pretrained: %s is a path of Windows: skipped, weights are fresh.", wanted)
        return None
    else:
        path = _find(Path(str(wanted)), directory, beside)
        source, name = read_source(path), str(path)
    network = network.network if isinstance(network, AnySize) else network
    own = network.state_dict()
    try:
        filled, report = transfer(own, source, ends=Ends(), transposed=_transposed(network))
    except DataError as error:
        text = str(error).rpartition("\n  Fix:")[0] or str(error)
        raise DataError(f"pretrained: {name}: {text}\n  Fix: the network of that file.") from None
    network.load_state_dict(filled)
    log.info("pretrained: %s", report.summary)
    return report


def is_windows_path(text: str) -> bool:
    """Whether it begins with a drive or a share of Windows."""
    return _DRIVE.match(text) is not None


def frozen_parts(network: nn.Module, model: Model) -> tuple[str, ...]:
    """Names of the parts that stand still: all but the head, or the encoder of what draws masks.

    None where `freeze` does not ask for it.
    """
    if not model.params.get("freeze"):
        return ()
    begin = "network." if isinstance(network, AnySize) else ""
    whole = network.network if isinstance(network, AnySize) else network
    names = [name for name, _ in whole.named_children()]
    if "encoder" in names:
        return tuple(begin + n for n in names if n in ("encoder", "stem"))
    heads = [n for n in names if n in HEADS]
    if not heads:
        raise ConfigError(
            f"freeze: {model.name} has no part called {', '.join(HEADS)} or encoder "
            f"(it has: {', '.join(names)}). Fix: freeze: false."
        )
    return tuple(begin + n for n in names if n not in heads)


def _find(path: Path, directory: Directory, beside: Path) -> Path:
    """A path as it stands, or below the weights, the logs or the folder of the experiment."""
    places = [path] if path.is_absolute() else list(_places(path, directory, beside))
    for place in places:
        if place.exists():
            return place
    raise DataError(
        f"pretrained: {path}: no such file; looked for: {', '.join(map(str, places))}. "
        "Fix: --directory weights=FOLDER, or pretrained: null."
    )


def _places(path: Path, directory: Directory, beside: Path) -> Iterator[Path]:
    yield directory.weights / path
    yield beside / path
    yield path
    yield directory.log / "checkpoints" / path


def _transposed(network: nn.Module) -> set[str]:
    kinds: Any = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    return {f"{n}.weight" for n, part in network.named_modules() if isinstance(part, kinds)}
