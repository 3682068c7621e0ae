"""What one observer of Sacred is told, in a thread of its own; what fails is told again later.

Sacred's own heartbeat drops an observer for good after one failure.
"""

import datetime
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from delineate.tracking.courier import Courier

if TYPE_CHECKING:
    from sacred.observers import RunObserver

__all__ = ["Reports"]


class Reports:
    """Figures, log and artefacts on their way to one observer."""

    def __init__(self, observer: "RunObserver", info: dict[str, Any]) -> None:
        self.observer = observer
        self.info = info
        """What Sacred keeps besides; the names of the metrics are put there."""
        self.seconds = 0.0
        """What the last report of figures took."""
        self._courier = Courier(f"Sacred's {type(observer).__name__}")

    def figures(self, metrics: Mapping[str, Any], captured_out: str) -> None:
        """Figures by name since the last report, and the whole log."""
        self._courier.send(partial(self._figures, metrics))
        self._courier.send(partial(self._beat, captured_out))

    def artefact(self, path: Path, content_type: str) -> None:
        """A copy of a file."""
        self._courier.send(
            partial(
                self.observer.artifact_event,
                name=path.name,
                filename=str(path.resolve()),
                metadata=None,
                content_type=content_type,
            )
        )

    def close(self) -> None:
        """Return when all is told."""
        self._courier.close()

    def _figures(self, metrics: Mapping[str, Any]) -> None:
        started = time.monotonic()
        self.observer.log_metrics(metrics, self.info)
        self.seconds = time.monotonic() - started

    def _beat(self, captured_out: str) -> None:
        now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        self.observer.heartbeat_event(
            info=self.info, captured_out=captured_out, beat_time=now, result=None
        )
