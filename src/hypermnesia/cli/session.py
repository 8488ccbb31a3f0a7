"""What the commands share: progress while they train, tables at the end, Ctrl-C."""

from __future__ import annotations

import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from torch import Tensor

from hypermnesia.cli.tables import show, show_comparison
from hypermnesia.compute import keep_freed_memory
from hypermnesia.data.download import given_folder
from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.data.types import Task
from hypermnesia.errors import ConfigError
from hypermnesia.experiments.compare import Cell, carry_out, filled
from hypermnesia.experiments.config import ExperimentConfig
from hypermnesia.experiments.launch import cores
from hypermnesia.experiments.results import RunSummary
from hypermnesia.experiments.run import Watch, check_file_name
from hypermnesia.experiments.run_folder import RunFolder
from hypermnesia.report.comparison import Comparison, check_files, write_files
from hypermnesia.training.observers import (
    Observer,
    ObserverGroup,
    StopTraining,
    Terminated,
    Termination,
    interrupt_on_sigterm,
)
from hypermnesia.training.phases import Phase, Rows

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


def train_and_show(
    folders: Sequence[Path],
    work: Callable[[Watch], Sequence[RunSummary]],
    scenario: ScenarioName | None = None,
) -> None:
    """Do the `work` that fills `folders`, then show what came out, in `scenario` or in all."""
    show(watched(work, lambda: _how_to_go_on(folders)), scenario)


def watched(
    work: Callable[[Watch], Sequence[RunSummary]], how_to_go_on: Callable[[], str]
) -> Sequence[RunSummary]:
    """Do the `work` and show its progress; where it is interrupted, say how to go on."""
    keep_freed_memory()
    termination = Termination()
    try:
        with interrupt_on_sigterm(termination.request), watching() as watch:
            return work(lambda config, seed: ObserverGroup(watch(config, seed), termination))
    except (KeyboardInterrupt, StopTraining) as stopped:
        raise _exit(stopped, how_to_go_on()) from None


def compare_and_show(
    cells: Sequence[Cell],
    make: Callable[[Sequence[Cell]], Comparison],
    out: Path,
    name: str,
    jobs: int | None,
    *,
    train: bool,
) -> None:
    """Train what the `cells` need, then show and write the comparison that `make` makes of them.

    Args:
        cells: the plan.
        make: filled cells -> comparison.
        out: where run folders and the comparison go.
        name: of the comparison's files.
        jobs: processes at a time; None for one on each core.
        train: or only show what is finished.
    """
    check_file_name(name)
    check_files(out, name)
    if not train and not out.is_dir():
        raise ConfigError(
            "--no-train shows the runs of a folder",
            got=f"{out}, which is none",
            cure="name it with --out",
        )
    try:
        failed = carry_out(cells, out, jobs or cores(), _say) if train else {}
    except KeyboardInterrupt as stopped:
        raise _exit(stopped, "interrupted; the same command goes on from here") from None
    comparison = make(filled(cells, out))
    show_comparison(comparison)
    typer.echo(", ".join(map(str, write_files(comparison, out, name))))
    for job, reason in failed.items():
        typer.echo(f"failed: {job}: {reason}", err=True)
    if failed:
        raise typer.Exit(1)


def _exit(stopped: BaseException, how_to_go_on: str) -> typer.Exit:
    """The end that Ctrl-C, or a request to terminate, asked for; the code is the shell's for it."""
    typer.echo(how_to_go_on, err=True)
    number = signal.SIGTERM if isinstance(stopped, Terminated | StopTraining) else signal.SIGINT
    return typer.Exit(128 + number)


def _say(line: str) -> None:
    typer.echo(line, err=True)


def split(texts: Sequence[str]) -> list[str]:
    """Names that were typed with commas, in options that were repeated, or both."""
    return [part.strip() for text in texts for part in text.split(",")]


def machine_options(
    data_dir: Path | None,
    device: str | None,
    threads: int | None = None,
    tensorboard: bool | None = None,
) -> dict[str, object]:
    """The machine section that options describe."""
    folder = given_folder(data_dir)
    where = None if folder is None else str(folder)
    return {"device": device, "threads": threads, "data_dir": where, "tensorboard": tensorboard}


def _how_to_go_on(folders: Sequence[Path]) -> str:
    begun = [folder for folder in folders if RunFolder(folder).config.is_file()]
    if not begun:
        return "interrupted before training began"
    commands = [f"hypermnesia resume {shlex.quote(str(folder))}" for folder in begun]
    return f"interrupted; go on with: {' && '.join(commands)}"
