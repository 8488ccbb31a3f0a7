"""TensorBoard event files of a training run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hypermnesia.data.scenarios import ScenarioName, scenario_name
from hypermnesia.data.types import Task
from hypermnesia.errors import ConfigError
from hypermnesia.metrics import Matrix
from hypermnesia.report.logger import Logger
from hypermnesia.report.matrices import accuracy_matrix
from hypermnesia.state_files import State
from hypermnesia.storage import os_errors_as_run_error
from hypermnesia.training.logs import read_samples, samples_file, spread_out
from hypermnesia.training.phases import Phase, Rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch.utils.tensorboard import SummaryWriter


_FLUSH_SECONDS, _SIDE = 10, 56  # until events can be seen; pixels of an image at least


def check_tensorboard() -> None:
    """Raise `ConfigError` unless tensorboard and the packages it needs are installed."""
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        hint = "pip install tensorboard, or leave --tensorboard out (--no-tensorboard)"
        rule = "--tensorboard needs the package tensorboard"
        raise ConfigError(rule, got=str(error), hint=hint) from error


class TensorBoard(Logger):
    """Writes numbers as any `Logger`, and after each task R and samples as images.

    Events written after the checkpoint from which the run resumes are purged, so that no step
    appears twice. The folder is created with the first event.
    """

    check = staticmethod(check_tensorboard)

    def __init__(self, folder: Path, samples: Path) -> None:
        super().__init__(folder, samples)
        self._tasks = 0
        self._rows: dict[ScenarioName, dict[int, list[float]]] = {}

    def on_start(self, tasks: Sequence[Task], total_iterations: int) -> None:
        """Begin another file: a run that returns to its checkpoint starts again."""
        super().on_start(tasks, total_iterations)
        self._tasks = len(tasks)

    def write(self, numbers: Mapping[str, float], step: int) -> None:
        """Write numbers by name."""
        with self._writable():
            for name, value in numbers.items():
                self._writer.add_scalar(name, value, step)

    def on_task_end(self, phase: Phase, rows: Rows) -> None:
        """Write what was measured, and samples of a generative memory."""
        super().on_task_end(phase, rows)
        step = phase.before + phase.iterations
        with self._writable():
            for scenario, row in rows.items() if phase.whole else ():
                matrix = self._matrix(scenario, phase.row, [each.accuracy for each in row])
                drawn = accuracy_matrix(scenario, matrix, seeds=1, measure=row[0].measure)
                pixels = _pixels(drawn.figure)
                self._writer.add_image(drawn.title, pixels, step, dataformats="HWC")
            for tag, images in self._images(phase):
                self._writer.add_images(tag, images, step)

    def _matrix(self, scenario: ScenarioName, last: int, accuracies: list[float]) -> Matrix:
        """Add the last row; return R up to it, NaN where nothing is known."""
        rows = self._rows.setdefault(scenario, {})
        rows[last] = accuracies
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
        """Flush the file; return the matrices so far."""
        with self._writable():
            self._writer.flush()
        return {"accuracy": self._rows}

    def load_state_dict(self, state: State) -> None:
        """Restore the matrices."""
        self._rows = {scenario_name(name): rows for name, rows in state["accuracy"].items()}

    def close(self) -> None:
        """Write what is pending."""
        writer: SummaryWriter | None = self.__dict__.pop("_writer", None)
        if writer is not None:
            with self._writable():
                writer.close()

    @cached_property
    def _writer(self) -> SummaryWriter:
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self.folder), purge_step=self.first, flush_secs=_FLUSH_SECONDS)

    @contextmanager
    def _writable(self) -> Iterator[None]:
        hint = "make room or give access, then resume, or resume with --no-tensorboard"
        rule = "the files for TensorBoard must be writable"
        with os_errors_as_run_error(self.folder, rule, hint):
            yield


def _pixels(figure: Figure) -> NDArray[np.uint8]:
    """Render (height, width, 3) pixels, without pyplot, which the writer would use."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]
