"""What every tracker takes: figures by step, pictures, the configuration, files.

A tracker is a logger of Lightning. It opens its run with the first figure or picture, so that a
resumed training can tell it before which run to go on with; the configuration and files that it is
given earlier wait until then, and are sent to a run that is new only.
"""

from abc import abstractmethod
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

__all__ = ["Tracker", "flat"]


class Tracker(Logger):
    """Follows one run in a place besides metrics.csv.

    Args:
        folder: the run folder; what a tracker writes by default lies in a folder of its own there.
        name: what the run is called.
    """

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.id: str | None = None
        """What the run is called in that place; None until it is open."""
        self.step = -1
        """The last step with a figure."""
        self._name = name
        self._config: dict[str, Any] = {}
        self._files: list[Path] = []
        self._is_open = False

    @property
    def name(self) -> str:
        """What the run is called."""
        return self._name

    @property
    def version(self) -> str:
        """The identity of the run in that place; empty until it is open."""
        return self.id or ""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Figures of a step; the steps of calls that follow each other do not fall."""
        self._begin()
        self.step = self.step + 1 if step is None else step
        self._send_figures(metrics, self.step)

    @rank_zero_only
    def log_picture(self, name: str, path: Path, step: int) -> None:
        """A PNG file, by a name that is the same at every step."""
        self._begin()
        self._send_picture(name, Path(path), step)

    @rank_zero_only
    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any
    ) -> None:
        """The configuration, as nested plain values."""
        self._config = dict(vars(params) if isinstance(params, Namespace) else params)
        if self._is_open:
            self._send_config(self._config)

    @rank_zero_only
    def log_file(self, path: Path) -> None:
        """A text file that belongs to the run, such as plan.json."""
        if self._is_open:
            self._send_file(Path(path))
        else:
            self._files.append(Path(path))

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Send what is left and close the run; a status other than success says it broke off."""
        if self._is_open:
            self._is_open = False
            self._close(complete=status == "success")

    def state_dict(self) -> dict[str, Any]:
        """Which run it is and how far it has come."""
        if self._is_open:
            self._flush()
        return {"id": self.id, "step": self.step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with that run; figures of later steps, if it has any, do not appear twice."""
        self.id, self.step = state["id"], state["step"]

    def _begin(self) -> None:
        if self._is_open:
            return
        is_new = self._open()
        self._is_open = True
        if is_new:
            self._send_config(self._config)
            for path in self._files:
                self._send_file(path)
        self._files = []

    @abstractmethod
    def _open(self) -> bool:
        """Go on with run `self.id` after `self.step`, else open one and set its id: True if new."""

    @abstractmethod
    def _send_figures(self, figures: Mapping[str, float], step: int) -> None: ...

    @abstractmethod
    def _send_picture(self, name: str, path: Path, step: int) -> None: ...

    @abstractmethod
    def _send_config(self, config: Mapping[str, Any]) -> None: ...

    @abstractmethod
    def _send_file(self, path: Path) -> None: ...

    @abstractmethod
    def _flush(self) -> None:
        """Get what waits on its way; the state that is saved next counts it as sent."""

    @abstractmethod
    def _close(self, *, complete: bool) -> None: ...


def flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """Values by dotted key; items of a list are numbered: `loss.0.name`."""
    return dict(_leaves(config, "")) if config else {}


def _leaves(value: Any, above: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{above}.{key}" if above else str(key))
    elif isinstance(value, list | tuple) and any(isinstance(v, Mapping) for v in value):
        yield from _leaves(dict(enumerate(value)), above)
    else:
        yield above, value
