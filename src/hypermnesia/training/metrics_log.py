"""The run's diary, metrics.jsonl: one JSON object a line, the same after any crash and resume."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from torch import Tensor

from hypermnesia.data.types import Task
from hypermnesia.durable import open_to_append, told_as_run_error
from hypermnesia.methods.base import State
from hypermnesia.training.evaluate import Rows
from hypermnesia.training.observer import Observer
from hypermnesia.training.phases import Phase

Tell = Callable[[Phase, int, Mapping[str, float]], None]
"""(phase, iteration in it from 1, metrics by name) -> None."""


class MetricsLog(Observer):
    """Writes metrics every so many updates, and the rows of the accuracy matrix.

    Lines are `{"kind": "update", "task": 0, "iteration": 50, "loss": ..., ...}`, with whatever the
    method measures, and `{"kind": "evaluation", "task": 0, "scenario": ..., "accuracy": [...],
    "inference": [...]}`, where `task` is the last task begun, from 0, `iteration` counts from 1
    within it, `accuracy` is a share of the batch in the first and percent on each task seen in the
    second. What is not finite is null.

    Args:
        path: the file. The run starts it anew, and a resumed run cuts it back to what its
            checkpoint knows; if that is no longer there, the log begins anew from here.
        every: updates between two lines; reading the metrics waits for the device.
        tell: handed what was read, so that nobody has to read it again.
    """

    def __init__(self, path: Path, every: int = 50, tell: Tell | None = None) -> None:
        self.path, self.every, self._tell = path, every, tell
        self._size = 0
        self._lost: list[str] = []

    def on_start(self, tasks: Sequence[Task], total_iterations: int) -> None:  # noqa: ARG002
        """Cut off whatever was logged after the checkpoint that the run goes on from."""
        with self._open() as file:
            found = file.tell()
            if found < self._size:
                # Training does not depend on its diary: it goes on with a shorter one.
                self._lost = [f"{self.path.name}: {found} of {self._size} bytes are there"]
                self._size = 0
            file.truncate(self._size)

    def lost(self) -> Sequence[str]:
        """The log, if it no longer held what the checkpoint knows of."""
        return self._lost

    def on_update(self, phase: Phase, iteration: int, metrics: Mapping[str, Tensor]) -> None:
        """Log every `every`-th update, the first and the last of a phase."""
        if iteration % self.every and iteration not in (1, phase.iterations):
            return
        read = {name: float(value) for name, value in metrics.items()}
        values = {name: _finite(value) for name, value in read.items()}
        self._write({"kind": "update", "task": phase.row, "iteration": iteration, **values})
        if self._tell is not None:
            self._tell(phase, iteration, read)

    def on_task_end(self, phase: Phase, rows: Rows) -> None:
        """Log a row of each scenario's accuracy matrix."""
        for scenario, row in rows.items():
            accuracy = [evaluation.accuracy for evaluation in row]
            inference = [evaluation.inference for evaluation in row]
            line = {"kind": "evaluation", "task": phase.row, "scenario": scenario}
            known = None if None in inference else inference
            self._write({**line, "accuracy": accuracy, "inference": known})

    def state_dict(self) -> State:
        """The size in bytes of what is on the disk by now (fsync)."""
        with self._open() as file:
            os.fsync(file.fileno())
        return {"bytes": self._size}

    def load_state_dict(self, state: State) -> None:
        """Remember how much of the file is known; `on_start` cuts off the rest."""
        self._size = int(state["bytes"])

    def _write(self, line: Mapping[str, object]) -> None:
        content = (json.dumps(line, allow_nan=False) + "\n").encode()
        with self._open() as file:
            file.write(content)
        self._size += len(content)

    @contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        cure = "make room or give access, then resume"
        told = told_as_run_error(self.path, "the log must be writable", cure)
        with told, open_to_append(self.path) as file:
            yield file


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
