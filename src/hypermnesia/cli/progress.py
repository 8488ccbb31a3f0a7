"""Progress on stderr: a bar on a terminal, now and then a line otherwise."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import fmean

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from torch import Tensor

from hypermnesia.data.types import Task
from hypermnesia.experiments.config import ExperimentConfig
from hypermnesia.experiments.run import Watch
from hypermnesia.training.evaluate import Rows
from hypermnesia.training.observer import Observer
from hypermnesia.training.phases import Phase

_BAR_SECONDS, _LINE_SECONDS = 0.3, 10.0


@contextmanager
def watching() -> Iterator[Watch]:
    """A watch that suits stderr."""
    if not sys.stderr.isatty():
        yield lambda config, seed: LineProgress(_title(config, seed))
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=15),
        TextColumn("{task.percentage:3.0f}%  {task.fields[status]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield lambda config, seed: BarProgress(bar, _title(config, seed))


def _title(config: ExperimentConfig, seed: int) -> str:
    return f"{config.method} seed {seed}"


class _Reader(Observer):
    """Reads the metrics off the device every so many seconds: each reading waits for it."""

    every: float

    def __init__(self, title: str) -> None:
        self.title = title
        self.done = self.begun = self.total = 0
        self.tasks = 0
        self._start = self._last = time.monotonic()

    def on_start(self, tasks: Sequence[Task], total_iterations: int) -> None:
        self.tasks, self.total = len(tasks), total_iterations
        self._start = self._last = time.monotonic()

    def on_resume(self, done_iterations: int, skipped: Sequence[str]) -> None:
        self.done = self.begun = done_iterations
        for line in skipped:
            self.say(f"{self.title}: went on without {line}")
        self.say(f"{self.title}: resumed at iteration {done_iterations} of {self.total}")

    def on_update(self, phase: Phase, iteration: int, metrics: Mapping[str, Tensor]) -> None:
        self.done += 1
        now = time.monotonic()
        if now - self._last >= self.every:
            self._last = now
            loss, accuracy = float(metrics["loss"]), float(metrics["accuracy"])
            where = f"task {phase.row + 1}/{self.tasks}"
            if iteration < phase.iterations:
                where += f" ({100 * iteration // phase.iterations}%)"
            self.report(f"{where} loss {loss:.4f} acc {100 * accuracy:.1f}%")

    def seconds_left(self) -> float:
        """At the mean pace of this process."""
        pace = (time.monotonic() - self._start) / max(self.done - self.begun, 1)
        return pace * (self.total - self.done)

    def report(self, status: str) -> None:
        """Show how it stands."""
        raise NotImplementedError

    def say(self, line: str) -> None:
        """Show a line that stays."""
        typer.echo(line, err=True)


class LineProgress(_Reader):
    """A line every ten seconds and after each task."""

    every = _LINE_SECONDS

    def report(self, status: str) -> None:
        """Print how it stands."""
        left = f"{self.seconds_left():.0f} s left"
        self.say(f"{self.title}: {self.done}/{self.total} {status} {left}")

    def on_task_end(self, phase: Phase, rows: Rows) -> None:
        """Print the mean accuracy on the tasks seen."""
        self.say(f"{self.title}: {_learned(phase, rows)}")


class BarProgress(_Reader):
    """A bar for each training."""

    every = _BAR_SECONDS

    def __init__(self, bar: Progress, title: str) -> None:
        super().__init__(title)
        self.bar = bar
        self._id: TaskID | None = None

    def on_start(self, tasks: Sequence[Task], total_iterations: int) -> None:
        """Add the bar; a run that goes back starts again, with the same one."""
        super().on_start(tasks, total_iterations)
        if self._id is None:
            self._id = self.bar.add_task(self.title, total=total_iterations, status="")

    def report(self, status: str) -> None:
        """Move the bar."""
        if self._id is not None:
            self.bar.update(self._id, completed=self.done, status=status)

    def say(self, line: str) -> None:
        """Print above the bar."""
        self.bar.console.print(line, markup=False, highlight=False)

    def on_task_end(self, phase: Phase, rows: Rows) -> None:
        """Show the mean accuracy on the tasks seen."""
        self.report(_learned(phase, rows))


def _learned(phase: Phase, rows: Rows) -> str:
    means = (f"{name} {fmean(each.accuracy for each in row):.2f}%" for name, row in rows.items())
    return f"task {phase.row + 1} learned, on all seen: {', '.join(means)}"
