"""Progress on stderr: a bar where someone is watching, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import fmean
from typing import TYPE_CHECKING

from torch import Tensor

from hypermnesia.data.types import Task
from hypermnesia.training.observers import EarlyStopping, Observer
from hypermnesia.training.phases import Evaluation, Phase, Rows

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_BAR_SECONDS, _LINE_SECONDS = 0.3, 10.0


class LineProgress(Observer):
    """A line every ten seconds and after each task.

    The metrics are read off the device that often only: each reading waits for it.

    Args:
        title: of the training.
        stopping: tells the held-out loss, if there is one.
    """

    every = _LINE_SECONDS

    def __init__(self, title: str, stopping: EarlyStopping | None = None) -> None:
        self.title, self._stopping = title, stopping
        self.done = self.resumed = self.total = self.tasks = 0
        self._start = self._last = time.monotonic()

    def on_start(self, tasks: Sequence[Task], total_iterations: int) -> None:
        """Start the clock."""
        self.tasks, self.total = len(tasks), total_iterations
        self._start = self._last = time.monotonic()

    def on_resume(self, done_iterations: int, skipped: Sequence[str]) -> None:
        """Print from where the run goes on, and without what."""
        self.done = self.resumed = done_iterations
        for line in skipped:
            self.print(f"{self.title}: went on without {line}")
        self.print(f"{self.title}: resumed at iteration {done_iterations} of {self.total}")

    def on_update(self, phase: Phase, iteration: int, metrics: Mapping[str, Tensor]) -> None:
        """Show the metrics, if it is time to."""
        self.done += 1
        now = time.monotonic()
        if now - self._last >= self.every:
            self._last = now
            self.show(self._status(phase, iteration, metrics))

    def on_task_end(self, phase: Phase, rows: Rows) -> None:
        """Show the mean accuracy on the tasks seen."""
        self.print(f"{self.title}: {_learned(phase, rows)}")

    def _status(self, phase: Phase, iteration: int, metrics: Mapping[str, Tensor]) -> str:
        parts = []
        if self.tasks:
            parts.append(f"task {phase.row + 1}/{self.tasks}")
            if iteration < phase.iterations:
                parts.append(f"({100 * iteration // phase.iterations}%)")
        parts.append(f"loss {float(metrics['loss']):.4f}")
        if "accuracy" in metrics:
            parts.append(f"acc {100 * float(metrics['accuracy']):.1f}%")
        if self._stopping is not None:
            parts.append(f"held-out loss {self._stopping.loss:.4f}")
        return " ".join(parts)

    def show(self, status: str) -> None:
        """Print how far the training is, and for how long it will go on at the mean pace."""
        pace = (time.monotonic() - self._start) / max(self.done - self.resumed, 1)
        left = f"{pace * (self.total - self.done):.0f} s left"
        self.print(f"{self.title}: {self.done}/{self.total} {status} {left}")

    def print(self, line: str) -> None:
        """Print a line that stays."""
        print(line, file=sys.stderr, flush=True)


class BarProgress(LineProgress):
    """A bar for each training.

    Args:
        bars: where it is shown.
        title: of the training.
        stopping: tells the held-out loss, if there is one.
    """

    every = _BAR_SECONDS

    def __init__(self, bars: Progress, title: str, stopping: EarlyStopping | None = None) -> None:
        super().__init__(title, stopping)
        self._bars = bars
        self._id: TaskID | None = None

    def on_start(self, tasks: Sequence[Task], total_iterations: int) -> None:
        """Add the bar; a run that goes back starts again, with the same one."""
        super().on_start(tasks, total_iterations)
        if self._id is None:
            self._id = self._bars.add_task(self.title, total=total_iterations, status="")

    def on_task_end(self, phase: Phase, rows: Rows) -> None:
        """Show the mean accuracy on the tasks seen."""
        self.show(_learned(phase, rows))

    def show(self, status: str) -> None:
        """Move the bar."""
        if self._id is not None:
            self._bars.update(self._id, completed=self.done, status=status)

    def print(self, line: str) -> None:
        """Print above the bar."""
        self._bars.console.print(line, markup=False, highlight=False)


def _learned(phase: Phase, rows: Rows) -> str:
    means = (f"{name} {_mean(row)}" for name, row in rows.items())
    return f"task {phase.row + 1} learned, on all seen: {', '.join(means)}"


def _mean(row: Sequence[Evaluation]) -> str:
    mean = fmean(each.accuracy for each in row)
    return f"{mean:.2f}%" if row[0].measure == "accuracy" else f"mean squared error {mean:.4g}"


MakeProgress = Callable[..., Observer]
"""(title, stopping=None) -> an observer that shows a training."""


@contextmanager
def progress_bars() -> Iterator[MakeProgress]:
    """Bars on stderr, one for each training that asks."""
    from rich.console import Console  # slow to import
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=15),
        TextColumn("{task.percentage:3.0f}%  {task.fields[status]}", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        yield lambda title, stopping=None: BarProgress(bars, title, stopping)


@contextmanager
def progress_display() -> Iterator[MakeProgress]:
    """What suits stderr: bars on a terminal, lines elsewhere."""
    if not sys.stderr.isatty():
        yield LineProgress
        return
    with progress_bars() as make:
        yield make
