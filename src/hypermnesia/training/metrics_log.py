"""The run's diary, metrics.jsonl: one JSON object a line, the same after any crash and resume."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from hypermnesia.data.types import Task
from hypermnesia.errors import RunError
from hypermnesia.methods.base import State
from hypermnesia.training.evaluate import Evaluation
from hypermnesia.training.observer import NullObserver
from hypermnesia.training.plan import Phase


class MetricsLog(NullObserver):
    """Writes metrics every so many updates, and the rows of the accuracy matrix.

    Lines are `{"kind": "update", "task": 0, "iteration": 50, "loss": ..., "accuracy": ...}` and
    `{"kind": "evaluation", "task": 0, "accuracy": [...], "inference": [...]}`, where `task` is the
    last task begun, from 0, `iteration` counts from 1 within it, `accuracy` is a share of the
    batch in the first and percent on each task seen in the second. What is not finite is null.

    Args:
        path: the file. The run starts it anew, and a resumed run cuts it back to what its
            checkpoint knows.
        every: updates between two lines; reading the metrics waits for the device.
    """

    def __init__(self, path: Path, every: int = 50) -> None:
        self.path, self.every = path, every
        self._size = 0

    def on_start(self, tasks: Sequence[Task], total_iterations: int) -> None:  # noqa: ARG002
        """Cut off whatever was logged after the checkpoint that the run goes on from."""
        try:
            with self.path.open("ab") as file:
                found = file.tell()
                file.truncate(min(self._size, found))
        except OSError as error:
            raise self._cannot("be written", error.strerror) from error
        if found < self._size:
            raise self._cannot("hold all that its checkpoint knows of", f"{found} bytes")

    def on_update(self, phase: Phase, iteration: int, metrics: Mapping[str, Tensor]) -> None:
        """Log every `every`-th update, the first and the last of a phase."""
        if iteration % self.every and iteration not in (1, phase.iterations):
            return
        values = {name: _finite(float(value)) for name, value in metrics.items()}
        self._write({"kind": "update", "task": phase.row, "iteration": iteration, **values})

    def on_task_end(self, phase: Phase, row: Sequence[Evaluation]) -> None:
        """Log a row of the accuracy matrix."""
        accuracy = [evaluation.accuracy for evaluation in row]
        inference = [evaluation.inference for evaluation in row]
        line = {"kind": "evaluation", "task": phase.row, "accuracy": accuracy}
        self._write({**line, "inference": None if None in inference else inference})

    def state_dict(self) -> State:
        """The size in bytes of what is on the disk by now (fsync)."""
        try:
            with self.path.open("ab") as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise self._cannot("be written", error.strerror) from error
        return {"bytes": self._size}

    def load_state_dict(self, state: State) -> None:
        """Remember how much of the file is known; `on_start` cuts off the rest."""
        self._size = int(state["bytes"])

    def _write(self, line: Mapping[str, object]) -> None:
        content = (json.dumps(line, allow_nan=False) + "\n").encode()
        try:
            with self.path.open("ab") as file:
                file.write(content)
        except OSError as error:
            raise self._cannot("be written", error.strerror) from error
        self._size += len(content)

    def _cannot(self, what: str, got: object) -> RunError:
        cure = "make room or give access, restore the file if it was changed, then resume"
        return RunError(f"the log {self.path} must {what}", got=got, cure=cure)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
