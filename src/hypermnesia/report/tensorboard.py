"""TensorBoard: a training to watch while it runs, and to look at later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hypermnesia.data.scenarios import ScenarioName, scenario_name
from hypermnesia.data.types import Task
from hypermnesia.errors import ConfigError
from hypermnesia.metrics import Matrix
from hypermnesia.report.matrices import accuracy_matrix
from hypermnesia.state_files import State
from hypermnesia.storage import os_errors_as_run_error
from hypermnesia.training.logs import read_samples, samples_file, spread_out
from hypermnesia.training.observers import Observer
from hypermnesia.training.phases import Phase, Rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch.utils.tensorboard import SummaryWriter


_FLUSH_SECONDS = 10  # until what was written can be seen
_SIDE = 56  # pixels of an image at least


def check_tensorboard() -> None:
    """Make sure that event files can be written.

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
    """Writes event files: metrics now and then; accuracies, their matrix and samples after a task.

    The step of an event is the number of updates since the run began. Events that were written
    after the checkpoint from which the run goes on stay in their file; TensorBoard is told to leave
    them out, so that no step is there twice.

    Args:
        folder: where the files go; made when there is something to write.
        samples: folder of the images that a `SampleLog`, told before this one, writes.
    """

    def __init__(self, folder: Path, samples: Path) -> None:
        self.folder, self.samples = folder, samples
        self._first = 0  # step from which this process tells everything
        self._tasks = 0
        self._rows: dict[ScenarioName, dict[int, list[float]]] = {}

    def on_start(self, tasks: Sequence[Task], total_iterations: int) -> None:  # noqa: ARG002
        """Begin another file: a run that goes back to its checkpoint starts again."""
        self.close()
        self._first, self._tasks = 0, len(tasks)

    def on_resume(self, done_iterations: int, skipped: Sequence[str]) -> None:  # noqa: ARG002
        """Go on after the checkpoint's last update."""
        self._first = done_iterations + 1

    def add_metrics(self, phase: Phase, iteration: int, metrics: Mapping[str, float]) -> None:
        """Write metrics that were read off the device; see `MetricsLog`."""
        with self._told():
            for name, value in metrics.items():
                self._writer.add_scalar(f"training/{name}", value, phase.before + iteration)

    def on_task_end(self, phase: Phase, rows: Rows) -> None:
        """Write what was measured, and what a generative memory remembers."""
        step = phase.before + phase.iterations
        for scenario, row in rows.items():
            accuracies = [evaluation.accuracy for evaluation in row]
            self._rows.setdefault(scenario, {})[phase.row] = accuracies
        with self._told():
            for tag, value in _scalars(rows):
                self._writer.add_scalar(tag, value, step)
            for scenario in rows:
                drawn = accuracy_matrix(scenario, self._matrix(scenario), seeds=1)
                pixels = _pixels(drawn.figure)
                self._writer.add_image(drawn.title, pixels, step, dataformats="HWC")
            for tag, images in self._images(phase):
                self._writer.add_images(tag, images, step)

    def _matrix(self, scenario: ScenarioName) -> Matrix:
        """R up to the last task learned; NaN where nothing is known."""
        rows = self._rows[scenario]
        matrix = np.full((max(rows) + 1,) * 2, np.nan)
        for row, accuracies in rows.items():
            matrix[row, : len(accuracies)] = accuracies
        return matrix

    def _images(self, phase: Phase) -> Iterator[tuple[str, Tensor]]:
        path = samples_file(self.samples, phase.row)
        if not path.is_file():
            return
        known = [task for task in spread_out(self._tasks) if task <= phase.row]
        for task, x in read_samples(path, known).items():
            times = -(-_SIDE // x.shape[2])
            name = "all tasks, mixed" if task is None else f"task {task + 1}"
            yield f"samples/{name}", x.repeat_interleave(times, 2).repeat_interleave(times, 3)

    def state_dict(self) -> State:
        """The matrices so far; what else a checkpoint covers is in the file by now."""
        with self._told():
            self._writer.flush()
        return {"accuracy": self._rows}

    def load_state_dict(self, state: State) -> None:
        """Put the matrices back."""
        self._rows = {scenario_name(name): rows for name, rows in state["accuracy"].items()}

    def close(self) -> None:
        """Write what is left."""
        writer: SummaryWriter | None = self.__dict__.pop("_writer", None)
        if writer is not None:
            with self._told():
                writer.close()

    @cached_property
    def _writer(self) -> SummaryWriter:
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self.folder), purge_step=self._first, flush_secs=_FLUSH_SECONDS)

    @contextmanager
    def _told(self) -> Iterator[None]:
        cure = "make room or give access, then resume, or resume with --no-tensorboard"
        with os_errors_as_run_error(
            self.folder, "the files for TensorBoard must be writable", cure
        ):
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


def _pixels(figure: Figure) -> NDArray[np.uint8]:
    """(height, width, 3); without pyplot, through which the writer would draw."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]
