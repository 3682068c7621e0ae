"""A run of MLflow: in files below the run folder, or wherever `tracking_uri` says."""

import os
import re
import time
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from delineate.errors import ConfigError, require
from delineate.tracking.courier import Courier
from delineate.tracking.tracker import Tracker, flat

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["MLflow"]

MOST_PARAMS = 100
"""What one request of MLflow may carry."""
LONGEST_VALUE = 500
"""Characters of a parameter that every version of MLflow takes."""


class MLflow(Tracker):
    """Figures as metrics, the configuration as parameters, panels and files as artefacts.

    `loss/Dice` is called `loss.Dice` there, since MLflow's files cannot have both it and `loss`.

    Args:
        tracking_uri: a server, database or folder of MLflow; None takes `mlflow` of the run folder.
        experiment: what the run is filed under; made if need be.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        tracking_uri: str | None = None,
        experiment: str = "delineate",
    ) -> None:
        # It reports its use over the network unless told not to before it is imported.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        require("mlflow", extra="mlflow")
        super().__init__(folder, name)
        self.uri = tracking_uri or (self.folder / "mlflow").resolve().as_uri()
        self.experiment = experiment
        self._client: MlflowClient | None = None
        self._courier: Courier | None = None
        self._sent: dict[str, int] = {}

    def _open(self) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            self._client = self._connect()
            is_new = not self._goes_on()
            if is_new:
                self.id = self._create()
        except MlflowException as error:
            raise ConfigError(
                f"MLflow at {self.uri} cannot open the run: {error}. Fix: see that tracking_uri is "
                "right and its server runs, or leave it out to write into the run folder."
            ) from error
        self._courier = Courier(f"MLflow at {self.uri}")
        return is_new

    def _connect(self) -> "MlflowClient":
        from mlflow import MlflowClient

        if "://" not in self.uri or self.uri.startswith("file:"):
            # Plain files are the one store that needs no database; MLflow wants to be asked twice.
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return MlflowClient(tracking_uri=self.uri)

    def _create(self) -> str:
        assert self._client is not None
        known = self._client.get_experiment_by_name(self.experiment)
        place = known.experiment_id if known else self._client.create_experiment(self.experiment)
        return self._client.create_run(place, run_name=self.name).info.run_id

    def _goes_on(self) -> bool:
        """Take the run up again and learn which steps it has; one that is gone is not an error."""
        from mlflow.exceptions import MlflowException

        assert self._client is not None
        if self.id is None:
            return False
        try:
            run = self._client.get_run(self.id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return False
        self._client.update_run(self.id, status="RUNNING")
        for name in run.data.metrics:
            history = self._client.get_metric_history(self.id, name)
            self._sent[name] = max(metric.step for metric in history)
        return True

    def _send_figures(self, figures: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        assert self._client is not None
        assert self.id is not None
        assert self._courier is not None
        stamp = time.time_ns() // 1_000_000
        named = {_allowed(name): value for name, value in figures.items()}
        rows = [
            Metric(name, float(value), stamp, step)
            for name, value in named.items()
            if step > self._sent.get(name, -1)
        ]
        if rows:
            self._courier.send(partial(self._client.log_batch, self.id, metrics=rows))

    def _send_picture(self, name: str, path: Path, step: int) -> None:
        assert self._client is not None
        assert self._courier is not None
        self._courier.send(partial(self._client.log_artifact, self.id, str(path), name))

    def _send_config(self, config: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        assert self._client is not None
        assert self.id is not None
        assert self._courier is not None
        params = [Param(_allowed(k), str(v)[:LONGEST_VALUE]) for k, v in flat(config).items()]
        for i in range(0, len(params), MOST_PARAMS):
            some = params[i : i + MOST_PARAMS]
            self._courier.send(partial(self._client.log_batch, self.id, params=some))

    def _send_file(self, path: Path) -> None:
        assert self._client is not None
        assert self._courier is not None
        self._courier.send(partial(self._client.log_artifact, self.id, str(path)))

    def _flush(self) -> None:
        """Errands are on their way at once."""

    def _close(self, *, complete: bool) -> None:
        assert self._client is not None
        assert self.id is not None
        assert self._courier is not None
        status = "FINISHED" if complete else "KILLED"
        self._courier.send(partial(self._client.set_terminated, self.id, status))
        self._courier.close()


def _allowed(name: str) -> str:
    return re.sub(r"[^\w\-. ]", "_", name.replace("/", "."))
