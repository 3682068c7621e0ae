"""A run of Weights & Biases: on the disk by default, on its server where there is an API key."""

import netrc
import os
from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlparse

from delineate.errors import ConfigError, require
from delineate.tracking.tracker import Tracker, flat

if TYPE_CHECKING:
    import wandb

__all__ = ["WandB"]

SERVER = "https://api.wandb.ai"


class WandB(Tracker):
    """Figures, panels, configuration and files as a run of W&B.

    An offline run lies in `wandb/` of the run folder; `wandb sync` sends it later. A training that
    goes on writes on under the same id.

    Args:
        mode: auto is online where an API key is found (`wandb login` or WANDB_API_KEY), else
            offline, without any use of the network.
        project: what the run is filed under.
        entity: the user or team that it belongs to; None takes the account's own.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        mode: Literal["auto", "online", "offline"] = "auto",
        project: str = "delineate",
        entity: str | None = None,
    ) -> None:
        # Its crash reports go over the network, offline runs' too.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        require("wandb", extra="wandb")
        if mode == "online" and not _has_key():
            raise ConfigError(
                "WandB: mode is online, but there is no API key. Fix: `wandb login`, or set "
                "WANDB_API_KEY, or take mode: offline."
            )
        super().__init__(folder, name)
        self.is_online = mode == "online" or (mode == "auto" and _has_key())
        self.project = project
        self.entity = entity
        self._run: wandb.Run | None = None
        self._sent = -1

    @property
    def _mark(self) -> Path:
        """The last step that was sent: rows cannot be taken back, so they are not sent again."""
        return self.folder / "wandb" / f"{self.id}.step"

    def _open(self) -> bool:
        import wandb

        is_new = self.id is None
        self.id = self.id or token_hex(4)
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._run = wandb.init(
                dir=str(self.folder), id=self.id, name=self.name,
                project=self.project, entity=self.entity,
                mode="online" if self.is_online else "offline",
                resume="allow" if self.is_online else None,
                settings=wandb.Settings(console="off", silent=True, save_code=False),
            )  # fmt: skip
        except wandb.Error as error:
            raise ConfigError(
                f"W&B cannot open the run: {error}. Fix: see that the API key, project and entity "
                "are right, or take mode: offline."
            ) from error
        self._sent = -1 if is_new else self._last_sent()
        return is_new

    def _last_sent(self) -> int:
        try:
            return max(self.step, int(self._mark.read_text(encoding="ascii")))
        except (OSError, ValueError):  # absent, or cut short by a crash
            return self.step

    def _log(self, row: dict[str, Any], step: int) -> None:
        assert self._run is not None
        if step <= self._sent:
            return
        self._run.log(row, step=step)
        self._mark.write_text(str(step), encoding="ascii")

    def _send_figures(self, figures: Mapping[str, float], step: int) -> None:
        self._log(dict(figures), step)

    def _send_picture(self, name: str, path: Path, step: int) -> None:
        import wandb

        self._log({name: wandb.Image(str(path))}, step)

    def _send_config(self, config: Mapping[str, Any]) -> None:
        assert self._run is not None
        self._run.config.update(flat(config), allow_val_change=True)

    def _send_file(self, path: Path) -> None:
        assert self._run is not None
        # Below the folder's name: W&B has a config.yaml of its own.
        above = path.resolve().parent.parent
        self._run.save(str(path.resolve()), base_path=str(above), policy="now")

    def _flush(self) -> None:
        """W&B's own process writes on, whatever becomes of this one."""

    def _close(self, *, complete: bool) -> None:
        assert self._run is not None
        self._run.finish(exit_code=0 if complete else 1)


def _has_key() -> bool:
    """Whether W&B would find a key in the environment or in the file that `wandb login` writes."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", SERVER)).hostname or ""
    path = os.environ.get("NETRC") or str(Path("~/.netrc").expanduser())
    try:
        return netrc.netrc(path).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
