"""Event files for TensorBoard, in `tensorboard/` of the run folder."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from delineate.errors import require
from delineate.tracking.tracker import Tracker, flat

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["TensorBoard"]

FLUSH_S = 5
"""Seconds of figures that a crash may lose."""


class TensorBoard(Tracker):
    """Figures as curves, panels as images, configuration and plan as text."""

    def __init__(self, folder: Path, name: str) -> None:
        require("tensorboard", extra="tensorboard")
        super().__init__(folder, name)
        self._writer: SummaryWriter | None = None

    @property
    def events(self) -> Path:
        """The folder to give to `tensorboard --logdir`, or any folder above it."""
        return self.folder / "tensorboard"

    def _open(self) -> bool:
        from torch.utils.tensorboard import SummaryWriter

        is_new, self.id = self.id is None, "tensorboard"
        # Readers drop the events from this step on that lie in files written before.
        purge = self.step + 1 if any(self.events.glob("events.*")) else None
        self._writer = SummaryWriter(str(self.events), flush_secs=FLUSH_S, purge_step=purge)
        return is_new

    def _send_figures(self, figures: Mapping[str, float], step: int) -> None:
        assert self._writer is not None
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)

    def _send_picture(self, name: str, path: Path, step: int) -> None:
        from PIL import Image

        assert self._writer is not None
        picture = np.asarray(Image.open(path).convert("RGB"))
        self._writer.add_image(name, picture, step, dataformats="HWC")

    def _send_config(self, config: Mapping[str, Any]) -> None:
        assert self._writer is not None
        rows = "\n".join(f"| {key} | {value} |" for key, value in flat(config).items())
        self._writer.add_text("config", f"| key | value |\n|---|---|\n{rows}", 0)

    def _send_file(self, path: Path) -> None:
        assert self._writer is not None
        text = escape(path.read_text(encoding="utf-8"), quote=False)
        self._writer.add_text(path.name, f"<pre>{text}</pre>", 0)

    def _flush(self) -> None:
        assert self._writer is not None
        self._writer.flush()

    def _close(self, *, complete: bool) -> None:
        assert self._writer is not None
        self._writer.close()
