"""TensorBoard: a training to watch while it runs, and to look at later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from hypermnesia.durable import told_as_run_error
from hypermnesia.errors import ConfigError
from hypermnesia.methods.base import State
from hypermnesia.training.evaluate import Rows
from hypermnesia.training.observer import Observer
from hypermnesia.training.phases import Phase

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_FLUSH_SECONDS = 10  # until what was written can be seen


def check_tensorboard() -> None:
    """Raise `ConfigError` unless event files can be written.

    Raises:
        ConfigError: the package is missing, or one that it needs.
    """
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "--tensorboard needs the package tensorboard",
            got=str(error),
            cure="pip install tensorboard, or leave --tensorboard out (--no-tensorboard)",
        ) from error


class TensorBoard(Observer):
    """Writes event files: metrics now and then, accuracies after each task.

    The step of an event is the number of updates since the run began. Events that a killed process
    wrote after the checkpoint from which the run goes on stay in its file; TensorBoard is told to
    leave them out, so that no step is there twice.

    Args:
        folder: where the files go; made when there is something to write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._first = 0  # step from which this process tells everything

    def on_resume(self, done_iterations: int, skipped: Sequence[str]) -> None:  # noqa: ARG002
        """Go on after the checkpoint's last update."""
        self._first = done_iterations + 1

    def add_metrics(self, phase: Phase, iteration: int, metrics: Mapping[str, float]) -> None:
        """Write metrics that were read off the device; see `MetricsLog`."""
        step = phase.before + iteration
        with self._told():
            for name, value in metrics.items():
                self._writer.add_scalar(f"training/{name}", value, step)

    def on_task_end(self, phase: Phase, rows: Rows) -> None:
        """Write the accuracy of every task seen, and of their tasks' inference."""
        step = phase.before + phase.iterations
        with self._told():
            for tag, value in _scalars(rows):
                self._writer.add_scalar(tag, value, step)

    def state_dict(self) -> State:
        """Nothing; but whatever the checkpoint covers is in the file by now."""
        with self._told():
            self._writer.flush()
        return {}

    def close(self) -> None:
        """Write what is left."""
        if "_writer" in self.__dict__:
            with self._told():
                self._writer.close()

    @cached_property
    def _writer(self) -> SummaryWriter:
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self.folder), purge_step=self._first, flush_secs=_FLUSH_SECONDS)

    @contextmanager
    def _told(self) -> Iterator[None]:
        cure = "make room or give access, then resume, or resume with --no-tensorboard"
        with told_as_run_error(self.folder, "the files for TensorBoard must be writable", cure):
            yield


def _scalars(rows: Rows) -> Iterator[tuple[str, float]]:
    """Percent, by tag: of each task, and their mean."""
    for scenario, row in rows.items():
        accuracies = [evaluation.accuracy for evaluation in row]
        yield f"accuracy in {scenario}/mean of the tasks seen", fmean(accuracies)
        for task, evaluation in enumerate(row, start=1):
            yield f"accuracy in {scenario}/task {task}", evaluation.accuracy
            if evaluation.inference is not None:
                yield f"task inference in {scenario}/task {task}", evaluation.inference
