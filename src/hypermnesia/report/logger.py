"""What loggers of a training share: numbers by name and step, for any service that takes these.

A logger of your own is a class like `hypermnesia.report.mlflow.MLflow`: derive from `Logger`, write
numbers in `write`, and register it (`LOGGERS.add`, an entry point, or `package.module:name`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from hypermnesia.data.types import Task
from hypermnesia.errors import RunError
from hypermnesia.experiments.config import fields_read
from hypermnesia.experiments.run_folder import RunFolder
from hypermnesia.report.canvas import SCALES
from hypermnesia.storage import os_errors_as_run_error
from hypermnesia.training.observers import Observer
from hypermnesia.training.phases import Phase, Rows, mean_accuracy


class Logger(Observer):
    """Writes metrics at intervals, and accuracies after each task.

    The step of a number is the number of updates since the run began.

    Args:
        folder: where its files go, `seed-N/NAME` in the run folder.
        samples: folder of the images that a `SampleLog`, called before this observer, writes.

    Attributes:
        environment: how the names of environment variables begin that it reads; they are handed to
            workers on other machines.
        finished: whether all tasks are learned.
    """

    environment: ClassVar[tuple[str, ...]] = ()

    def __init__(self, folder: Path, samples: Path) -> None:
        self.folder, self.samples = folder, samples
        self.first = 0  # step from which this process writes
        self.finished, self._updates = False, 0

    @staticmethod
    def check() -> None:
        """Raise `ConfigError` if it cannot work here; called before a run begins."""

    def write(self, numbers: Mapping[str, float], step: int) -> None:
        """Write numbers by name.

        Raises:
            NotImplementedError: a class has none of its own.
            RunError: files that cannot be written.
        """
        raise NotImplementedError

    @contextmanager
    def writing(self, service: str, failure: type[Exception], place: object) -> Iterator[None]:
        """Turn what a `service` raises, files of the system's included, into a `RunError`."""
        hint = "make room or give access, then resume, or resume without the logger"
        rule = f"what {service} keeps must be writable"
        try:
            with os_errors_as_run_error(self.folder, rule, hint):
                yield
        except failure as error:
            raise RunError(rule, got=f"{place}: {str(error).splitlines()[0]}", hint=hint) from error

    def close(self) -> None:
        """Write what is pending, and end; what is written later begins again."""

    def on_start(self, tasks: Sequence[Task], total_iterations: int) -> None:  # noqa: ARG002
        """Begin again: a run that returns to its checkpoint starts once more."""
        self.close()
        self.first, self.finished, self._updates = 0, False, total_iterations

    def on_resume(self, done_iterations: int, skipped: Sequence[str]) -> None:  # noqa: ARG002
        """Continue after the checkpoint's last update."""
        self.first = done_iterations + 1

    def add_metrics(self, phase: Phase, iteration: int, metrics: Mapping[str, float]) -> None:
        """Write metrics that `MetricsLog` has read from the device."""
        numbers = {f"training/{name}": value for name, value in metrics.items()}
        self.write(numbers, phase.before + iteration)

    def on_task_end(self, phase: Phase, rows: Rows) -> None:
        """Write what was measured."""
        done = phase.before + phase.iterations
        self.write(dict(_scalars(rows)), done)
        self.finished = done >= self._updates

    @property
    def settings(self) -> dict[str, object]:
        """The settings of the run by path, as its folder holds them; none outside a run folder."""
        run = RunFolder(self.folder.parents[1])
        return fields_read(run.read_config()) if run.config.is_file() else {}


def _scalars(rows: Rows) -> Iterator[tuple[str, float]]:
    """Yield (name, value) of each task, and of their mean."""
    for scenario, row in rows.items():
        name = f"{SCALES[row[0].measure].name} in {scenario}"
        if all(each.known for each in row):
            yield f"{name}/mean of the tasks seen", mean_accuracy(row)
        for task, evaluation in enumerate(row, start=1):
            if evaluation.known:
                yield f"{name}/task {task}", evaluation.accuracy
            if evaluation.inference is not None:
                yield f"task inference in {scenario}/task {task}", evaluation.inference
