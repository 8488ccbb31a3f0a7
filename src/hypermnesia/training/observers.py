"""Observers of a training: health, early stopping, progress, and the protocol of all."""

from __future__ import annotations

import copy
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from hypermnesia.data.stream import each_once
from hypermnesia.data.types import Samples, Task
from hypermnesia.errors import RunError
from hypermnesia.methods.base import BoundsDrift, Method
from hypermnesia.state_files import State
from hypermnesia.training.phases import Phase, Rows, mean_accuracy

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


# Like `KeyboardInterrupt` these are no `Exception`: nobody takes them for a failure.
class StopTask(BaseException):
    """Raised by an observer in `on_update`: the phase has had enough updates, the next begins."""


class StopTraining(BaseException):
    """Raised by an observer in `on_update`: the loop saves the run, and lets this through."""


class Observer:
    """What the loop calls; this one does nothing, others override some of the methods.

    On a resumed run `load_state_dict` comes before `on_start`, and `on_resume` after it.
    """

    def on_start(self, tasks: Sequence[Task], total_iterations: int) -> None:
        """The run begins, or goes on."""

    def lost(self) -> Sequence[str]:
        """What of the past was no good and is begun anew, a line each; called after `on_start`."""
        return ()

    def on_resume(self, done_iterations: int, skipped: Sequence[str]) -> None:
        """It goes on from a checkpoint, without what `skipped` names: NAME: why it was no good.

        These are newer checkpoints, what observers `lost`, and an update that went wrong.
        """

    def on_update(self, phase: Phase, iteration: int, metrics: Mapping[str, Tensor]) -> None:
        """The `iteration`-th update of a phase is done; `metrics` are scalars on the device."""

    def on_validation(self, phase: Phase, iteration: int, losses: Mapping[str, float]) -> None:
        """Held-out samples were looked at after an update: the mean loss of each part."""

    def on_stop(self, phase: Phase) -> None:
        """An observer ends the training within a phase: the last chance to save it."""

    def on_updates_end(self, phase: Phase) -> None:
        """All updates of a phase are taken; its tasks have not ended yet."""

    def on_task_end(self, phase: Phase, rows: Rows) -> None:
        """A phase is learned: row `phase.row` of each scenario's R, of every task seen.

        With `train.evaluate_every` most rows know the newest task alone (`Evaluation.known`).
        """

    def state_dict(self) -> State:
        """What to remember of the past; it goes into the checkpoint being made."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """Go back to where `state_dict` was called; whatever came later will come again."""


def _call_each(name: str) -> Any:
    """A method of a group that calls the method of this name of each of its observers."""

    def call(group: ObserverGroup, *arguments: Any) -> None:
        for observer in group.observers:
            getattr(observer, name)(*arguments)

    return call


class ObserverGroup(Observer):
    """Several observers as one, called in order."""

    def __init__(self, *observers: Observer) -> None:
        self.observers = observers

    on_start = _call_each("on_start")
    on_resume = _call_each("on_resume")
    on_update = _call_each("on_update")
    on_validation = _call_each("on_validation")
    on_stop = _call_each("on_stop")
    on_updates_end = _call_each("on_updates_end")
    on_task_end = _call_each("on_task_end")

    def lost(self) -> Sequence[str]:
        """What each lost."""
        return [line for observer in self.observers for line in observer.lost()]

    def state_dict(self) -> State:
        """Each one's memory, by class name: one of a kind, the same after a resume."""
        return {type(observer).__name__: observer.state_dict() for observer in self.observers}

    def load_state_dict(self, state: State) -> None:
        """Hand each one's memory back; one that was not there before starts without."""
        for observer in self.observers:
            if type(observer).__name__ in state:
                observer.load_state_dict(state[type(observer).__name__])


_EVALUATION_EVERY = 50  # updates between two evaluations of held-out samples, at least
_BLOCK = 50  # as often as the metrics are logged, which waits for the device anyway


@dataclass(frozen=True)
class Fault:
    """The first update of which a loss or a gradient is no finite number."""

    name: str  # of what was being learned
    iteration: int  # the update, from 1 within its phase
    good: int  # updates of the run before it
    found: Mapping[str, float]  # everything that it reported
    before: Mapping[str, float] = field(default_factory=dict)  # what the one before it did

    def __str__(self) -> str:
        bad = {name: value for name, value in self.found.items() if not math.isfinite(value)}
        before = {name: f" ({value:.3g} before)" for name, value in self.before.items()}
        listed = ", ".join(f"{name} {bad[name]:g}{before.get(name, '')}" for name in bad)
        return f"iteration {self.iteration} of {self.name}: {listed}"

    def cause(self) -> tuple[str, str]:
        """The likely cause, and what to do about it."""
        first = next(name for name, value in self.found.items() if not math.isfinite(value))
        optimizer = "vae.optimizer" if first.startswith("vae_") else "optimizer"
        smaller = f"start another run with a smaller {optimizer}.lr, or with {optimizer}.clip=1"
        weaker = "a smaller regularizer.beta or penalty.strength"
        if self.iteration == 1:
            cause = "inputs, first weights or the pull of earlier tasks that are too large"
            return cause, f"bring inputs into [0, 1], choose {weaker}"
        if first.endswith("gradient"):
            return "gradients that explode though the loss is finite", smaller
        if first.endswith("penalty"):
            cause = "a step so large that earlier tasks are thrown out of place"
            return cause, f"{smaller}, or with {weaker}"
        return "a step that is too large", smaller


class NotFiniteError(RunError):
    """A loss or a gradient was no finite number; `fault` says where, and what was found."""

    def __init__(self, fault: Fault) -> None:
        cause, hint = fault.cause()
        got, hint = (
            f"{fault}; likely cause: {cause}",
            f"{hint}; all up to the update before is kept",
        )
        super().__init__("losses and gradients must stay finite", got=got, hint=hint)
        self.fault = fault


class Health(Observer):
    """Collects what the updates of a phase report, and raises `NotFiniteError`.

    Reading waits for the device, so reports are read in blocks; the first bad one is found exactly.
    """

    def __init__(self) -> None:
        self._reports: list[tuple[Phase, int, Mapping[str, Tensor]]] = []
        self._before: Mapping[str, float] = {}

    def on_start(self, tasks: Sequence[Task], total_iterations: int) -> None:  # noqa: ARG002
        """Begin afresh: a run may go back."""
        self._reports, self._before = [], {}

    def on_update(self, phase: Phase, iteration: int, metrics: Mapping[str, Tensor]) -> None:
        """Remember the scalars of an update; check now and then."""
        self._reports.append((phase, iteration, metrics))
        if len(self._reports) >= _BLOCK:
            self.check()

    def on_stop(self, phase: Phase) -> None:  # noqa: ARG002
        """Check, so that nothing bad is saved."""
        self.check()

    def on_updates_end(self, phase: Phase) -> None:  # noqa: ARG002
        """Check the last updates."""
        self.check()
        self._before = {}

    def check(self) -> None:
        """Raise `NotFiniteError` if an update since the last check reported no finite number."""
        reports = [metrics for _, _, metrics in self._reports]
        values = {
            name: iter(torch.stack([each[name] for each in reports if name in each]).tolist())
            for name in dict.fromkeys(name for metrics in reports for name in metrics)
        }  # fetched together: it waits for the device once a name
        for phase, iteration, metrics in self._reports:
            found = {name: next(values[name]) for name in metrics}
            if not all(map(math.isfinite, found.values())):
                good = phase.before + iteration - 1
                raise NotFiniteError(Fault(phase.name, iteration, good, found, self._before))
            self._before = found
        self._reports = []


@dataclass
class _Best:
    loss: float = math.inf
    at: int = 0
    state: State | None = None


def _kept(state: Any, kept: Any) -> Any:
    """Copy a state, into the tensors of the one that was `kept` before where these fit."""
    if isinstance(state, Tensor) and isinstance(kept, Tensor):
        alike = (state.shape, state.dtype, state.device) == (kept.shape, kept.dtype, kept.device)
        return kept.copy_(state) if alike else state.clone()
    if isinstance(state, dict):
        before = kept if isinstance(kept, dict) else {}
        return {name: _kept(value, before.get(name)) for name, value in state.items()}
    return copy.deepcopy(state)


class EarlyStopping(Observer):
    """Ends a phase after `patience` updates without a better held-out loss of any part.

    Then each part is put to its best state. `loss` is the last mean held-out loss; NaN before. The
    observer `watching` is told of each look (`on_validation`).
    """

    def __init__(self, method: Method, held_out: Samples, patience: int, batch_size: int) -> None:
        self._method, self._held_out = method, held_out
        self._patience, self._batch_size = patience, batch_size
        self._best = {name: _Best() for name in method.parts}
        self._every = max(_EVALUATION_EVERY, math.ceil(len(held_out) / batch_size))
        self.loss, self.watching = math.nan, Observer()

    def on_update(self, phase: Phase, iteration: int, metrics: object) -> None:  # noqa: ARG002
        """Evaluate now and then; raise `StopTask` if no part has become better for long enough.

        The last update, too, is looked at: what nobody looked at would be thrown away.
        """
        if iteration % self._every and iteration < phase.iterations:
            return
        losses = dict.fromkeys(self._best, 0.0)  # means over the held-out samples
        for batch in each_once([self._held_out], self._batch_size):
            for name, value in self._method.losses(batch).items():
                losses[name] += float(value) * len(batch) / len(self._held_out)
        self.loss = losses["loss"]
        for name, loss in losses.items():
            # A state that changed earlier tasks too much is not one to go back to.
            if loss < self._best[name].loss and self._holds():
                state = self._method.parts[name].state_dict()
                self._best[name] = _Best(loss, iteration, _kept(state, self._best[name].state))
        self.watching.on_validation(phase, iteration, losses)
        best = self._best.values()
        if all(each.state and iteration - each.at >= self._patience for each in best):
            raise StopTask

    def _holds(self) -> bool:
        return not isinstance(self._method, BoundsDrift) or self._method.holds

    def on_updates_end(self, phase: Phase) -> None:  # noqa: ARG002
        """Put every part to its best state."""
        for name, best in self._best.items():
            if best.state is not None:
                self._method.parts[name].load_state_dict(best.state)


class LineProgress(Observer):
    """Prints metrics and a held-out loss on stderr every ten seconds, and after each task."""

    every = 10.0

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
        parts = [f"task {phase.row + 1}/{self.tasks}"] if self.tasks else []
        if self.tasks and iteration < phase.iterations:
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
        left = pace * (self.total - self.done)
        self.print(f"{self.title}: {self.done}/{self.total} {status} {left:.0f} s left")

    def print(self, line: str) -> None:
        """Print a line that stays."""
        print(line, file=sys.stderr, flush=True)


class BarProgress(LineProgress):
    """Shows a training as one of several `bars`."""

    every = 0.3

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
    """The mean of each scenario over the tasks seen, or over the newest if no other is known."""
    shown = {"accuracy": "{:.2f}%", "mse": "mean squared error {:.4g}"}
    means = [
        f"{name} {shown[row[0].measure].format(mean_accuracy(row))}" for name, row in rows.items()
    ]
    where = "all seen" if phase.whole else "itself"
    return f"task {phase.row + 1} learned, on {where}: {', '.join(means)}"


MakeProgress = Callable[..., Observer]
"""(title, stopping=None) -> an observer that shows a training."""


@contextmanager
def progress_bars() -> Iterator[MakeProgress]:
    """Bars on stderr, one for each training."""
    from rich.console import Console  # slow to import
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    title = TextColumn("{task.description}", markup=False)
    status = TextColumn("{task.percentage:3.0f}%  {task.fields[status]}", markup=False)
    columns = title, BarColumn(bar_width=15), status, TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as bars:
        yield lambda title, stopping=None: BarProgress(bars, title, stopping)


@contextmanager
def progress_display() -> Iterator[MakeProgress]:
    """Progress as it suits stderr: bars on a terminal, lines elsewhere."""
    with progress_bars() if sys.stderr.isatty() else nullcontext(LineProgress) as make:
        yield make
