"""MLflow runs of trainings: in a folder beside the seed's results, or where MLflow is told to.

`MLFLOW_TRACKING_URI` names another place, a database or a server, for all trainings together.
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hypermnesia.errors import ConfigError
from hypermnesia.report.logger import Logger
from hypermnesia.state_files import State

_PLACE = "MLFLOW_TRACKING_URI"
_FILES = "MLFLOW_ALLOW_FILE_STORE"  # without which its newer versions refuse folders
_LONGEST = 500  # letters of a setting, the least that any store of MLflow takes


class MLflow(Logger):
    """Writes a run of MLflow for each seed, in an experiment called like the run folder.

    A run that goes on from a checkpoint goes on there; what a dead process had written already is
    not written again.
    """

    environment = ("MLFLOW_",)

    def __init__(self, folder: Path, samples: Path) -> None:
        super().__init__(folder, samples)
        self._run: str | None = None
        self._last: dict[str, int] = {}

    @staticmethod
    def check() -> None:
        """Raise `ConfigError` unless the package is installed, and its store there."""
        try:
            import mlflow.tracking  # type: ignore[import-not-found, unused-ignore]
        except ImportError as error:
            hint = "pip install mlflow-skinny (or 'hypermnesia[mlflow]'), or leave the logger out"
            rule = "the logger mlflow needs the package mlflow-skinny or mlflow"
            raise ConfigError(rule, got=str(error), hint=hint) from error
        if place := os.environ.get(_PLACE):
            try:
                _listens(place)
                mlflow.tracking.MlflowClient(tracking_uri=place).search_experiments(max_results=1)
            except Exception as error:  # of the package that its kind of store needs, too
                rule = f"{_PLACE} must name a store of MLflow that answers"
                got = f"{place}: {(str(error) or type(error).__name__).splitlines()[0]}"
                raise ConfigError(rule, got=got, hint="mend or unset it") from error

    def write(self, numbers: Mapping[str, float], step: int) -> None:
        """Write numbers by name, those that are finite and later than the last ones."""
        from mlflow.entities import Metric  # type: ignore[import-not-found, unused-ignore]

        now = int(1000 * time.time())
        with self._writable():
            run = self._begun
            new = [
                Metric(name, value, now, step)
                for name, value in numbers.items()
                if math.isfinite(value) and step > self._last_step(run, name)
            ]
            self._last |= dict.fromkeys(numbers, step)
            for start in range(0, len(new), 1000):  # MLflow takes so many at a time
                self._client.log_batch(run, metrics=new[start : start + 1000])

    def state_dict(self) -> State:
        """The run's number, so that a resumed one goes on in it."""
        with self._writable():
            return {"run": self._begun}

    def load_state_dict(self, state: State) -> None:
        """Go on in a run, unless it is gone from the store."""
        self._run, self._last = state["run"], {}

    def close(self) -> None:
        """Mark the run as finished, or as stopped, which another process may take up again."""
        if "_begun" in vars(self):
            status = "FINISHED" if self.finished else "KILLED"
            with self._writable():
                self._client.set_terminated(vars(self).pop("_begun"), status)

    @cached_property
    def _client(self) -> Any:
        from mlflow.tracking import MlflowClient  # type: ignore[import-not-found, unused-ignore]

        place = os.environ.get(_PLACE)
        if place:
            return MlflowClient(tracking_uri=place)
        given = os.environ.get(_FILES)
        os.environ[_FILES] = "true"
        try:
            return MlflowClient(tracking_uri=self.folder.absolute().as_uri())
        finally:
            if given is None:
                del os.environ[_FILES]
            else:
                os.environ[_FILES] = given

    @cached_property
    def _begun(self) -> str:
        """The number of the run, which is made if there is none."""
        from mlflow.exceptions import MlflowException  # type: ignore[import-not-found, unused-ignore]

        if self._run is not None:
            try:
                self._client.update_run(self._run, status="RUNNING")
                return self._run
            except MlflowException:
                pass  # another store, or one that was emptied: the rest goes into a new run
        experiment = self.folder.absolute().parents[1].name or "hypermnesia"
        found = self._client.get_experiment_by_name(experiment)
        number = found.experiment_id if found else self._client.create_experiment(experiment)
        run = self._client.create_run(number, run_name=self.folder.absolute().parent.name)
        self._run, self._last = str(run.info.run_id), {}
        for name, value in self.settings.items():
            self._client.log_param(self._run, name, str(value)[:_LONGEST])
        return self._run

    def _last_step(self, run: str, name: str) -> int:
        if name not in self._last:
            history = self._client.get_metric_history(run, name)
            self._last[name] = max((each.step for each in history), default=-1)
        return self._last[name]

    def _writable(self) -> AbstractContextManager[None]:
        from mlflow.exceptions import MlflowException  # type: ignore[import-not-found, unused-ignore]

        return self.writing("MLflow", MlflowException, os.environ.get(_PLACE, self.folder))


def _listens(place: str) -> None:
    """Raise `OSError` for a server where nobody listens; MLflow itself tries for minutes."""
    url = urlsplit(place)
    if url.scheme in ("http", "https") and url.hostname:
        port = url.port or (443 if url.scheme == "https" else 80)
        socket.create_connection((url.hostname, port), timeout=10).close()
