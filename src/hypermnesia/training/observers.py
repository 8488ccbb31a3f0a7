"""Observers of a training: health, early stopping, termination, and the protocol of all.

Reading a number waits for the device, so what updates report is only collected, and looked at in
blocks. It is all still there: the first bad update is found exactly.
"""

from __future__ import annotations

import copy
import math
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

import torch
from torch import Tensor

from hypermnesia.data.stream import each_once
from hypermnesia.data.types import Samples, Task
from hypermnesia.errors import RunError
from hypermnesia.methods.base import Method
from hypermnesia.state_files import State
from hypermnesia.training.phases import Phase, Rows


class StopTask(BaseException):
    """Raised by an observer in `on_update`: the phase has had enough updates, the next one begins.

    No `Exception`: nobody takes it for a failure.
    """


class StopTraining(BaseException):
    """Raised by an observer in `on_update`: the loop saves the run, and lets this through.

    Like `KeyboardInterrupt` it is no `Exception`: nobody takes it for a failure of the training.
    """


class Observer:
    """What the loop tells; this one does nothing about it, others care for some of the calls.

    On a resumed run `load_state_dict` comes before `on_start`, and `on_resume` after it.
    """

    def on_start(self, tasks: Sequence[Task], total_iterations: int) -> None:
        """The run begins, or goes on."""

    def lost(self) -> Sequence[str]:
        """What of the past was no good and is begun anew, a line each; asked after `on_start`."""
        return ()

    def on_resume(self, done_iterations: int, skipped: Sequence[str]) -> None:
        """It goes on from a checkpoint, without what `skipped` names: NAME: why it was no good.

        These are newer checkpoints, what observers `lost`, and an update that went wrong: the
        loop then goes back, all in one process, to end where the run was still good.
        """

    def on_update(self, phase: Phase, iteration: int, metrics: Mapping[str, Tensor]) -> None:
        """An update is done, the `iteration`-th of its phase, from 1.

        `metrics` are detached scalars that may still be in the making on the device: reading
        one (`float(...)`) waits for it.
        """

    def on_stop(self, phase: Phase) -> None:
        """An observer ends the training within a phase: the last chance to save it."""

    def on_updates_end(self, phase: Phase) -> None:
        """All updates of a phase are taken; its tasks have not ended yet."""

    def on_task_end(self, phase: Phase, rows: Rows) -> None:
        """A phase is learned, every task seen evaluated: row `phase.row` of each scenario's R."""

    def state_dict(self) -> State:
        """What to remember of the past; it goes into the checkpoint being made."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """Go back to where `state_dict` was asked; whatever came later will be told again."""


class ObserverGroup(Observer):
    """Several observers as one, told in order."""

    def __init__(self, *observers: Observer) -> None:
        self.observers = observers

    def on_start(self, tasks: Sequence[Task], total_iterations: int) -> None:
        """Tell each."""
        for observer in self.observers:
            observer.on_start(tasks, total_iterations)

    def lost(self) -> Sequence[str]:
        """What each lost."""
        return [line for observer in self.observers for line in observer.lost()]

    def on_resume(self, done_iterations: int, skipped: Sequence[str]) -> None:
        """Tell each."""
        for observer in self.observers:
            observer.on_resume(done_iterations, skipped)

    def on_update(self, phase: Phase, iteration: int, metrics: Mapping[str, Tensor]) -> None:
        """Tell each."""
        for observer in self.observers:
            observer.on_update(phase, iteration, metrics)

    def on_stop(self, phase: Phase) -> None:
        """Tell each."""
        for observer in self.observers:
            observer.on_stop(phase)

    def on_updates_end(self, phase: Phase) -> None:
        """Tell each."""
        for observer in self.observers:
            observer.on_updates_end(phase)

    def on_task_end(self, phase: Phase, rows: Rows) -> None:
        """Tell each."""
        for observer in self.observers:
            observer.on_task_end(phase, rows)

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
    """The first update of which a loss or a gradient is no finite number.

    Attributes:
        name: of what was being learned.
        iteration: the update, from 1 within its phase.
        good: updates of the run before it.
        found: everything that it reported.
        before: what the update before it reported, where it is known.
    """

    name: str
    iteration: int
    good: int
    found: Mapping[str, float]
    before: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        bad = ", ".join(f"{name} {self._formatted(name)}" for name in self._bad)
        return f"iteration {self.iteration} of {self.name}: {bad}"

    @property
    def _bad(self) -> list[str]:
        return [name for name, value in self.found.items() if not math.isfinite(value)]

    def _formatted(self, name: str) -> str:
        value = f"{self.found[name]:g}"
        return f"{value} ({self.before[name]:.3g} before)" if name in self.before else value

    def cause(self) -> tuple[str, str]:
        """The likely cause, and what to do about it."""
        first = self._bad[0]
        optimizer = "vae.optimizer" if first.startswith("vae_") else "optimizer"
        smaller = f"start another run with a smaller {optimizer}.lr, or with {optimizer}.clip=1"
        if self.iteration == 1:
            return (
                "inputs, first weights or the pull of earlier tasks that are too large",
                "bring inputs into [0, 1], choose a smaller regularizer.beta or penalty.strength",
            )
        if first.endswith("gradient"):
            return "gradients that explode though the loss is finite", smaller
        if first.endswith("penalty"):
            return (
                "a step so large that earlier tasks are thrown out of place",
                f"{smaller}, or with a smaller regularizer.beta or penalty.strength",
            )
        return "a step that is too large", smaller


class NotFiniteError(RunError):
    """A loss or a gradient was no finite number.

    Args:
        fault: where, and what was found.
    """

    def __init__(self, fault: Fault) -> None:
        cause, hint = fault.cause()
        super().__init__(
            "losses and gradients must stay finite",
            got=f"{fault}; likely cause: {cause}",
            hint=f"{hint}; all up to the update before is kept",
        )
        self.fault = fault


class Health(Observer):
    """Collects what the updates of a phase report, and raises `NotFiniteError`."""

    def __init__(self) -> None:
        self._reports: list[tuple[Phase, int, Mapping[str, Tensor]]] = []
        self._before: Mapping[str, float] = {}

    def on_start(self, tasks: Sequence[Task], total_iterations: int) -> None:  # noqa: ARG002
        """Begin afresh: a run may go back."""
        self._reports, self._before = [], {}

    def on_update(self, phase: Phase, iteration: int, metrics: Mapping[str, Tensor]) -> None:
        """Remember the scalars that an update reported; checks now and then."""
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
        """Look at the updates since the last check; waits for the device.

        Raises:
            NotFiniteError: a scalar of one of them is no finite number.
        """
        values = _read([metrics for _, _, metrics in self._reports])
        for (phase, iteration, _), found in zip(self._reports, values, strict=True):
            if not all(map(math.isfinite, found.values())):
                good = phase.before + iteration - 1
                raise NotFiniteError(Fault(phase.name, iteration, good, found, self._before))
            self._before = found
        self._reports = []


def _read(noted: Sequence[Mapping[str, Tensor]]) -> Iterator[dict[str, float]]:
    """The numbers of all updates, fetched together; the device is waited for once a name."""
    names = dict.fromkeys(name for metrics in noted for name in metrics)
    values = {
        name: iter(torch.stack([m[name] for m in noted if name in m]).tolist()) for name in names
    }
    for metrics in noted:
        yield {name: next(values[name]) for name in metrics}


@dataclass
class _Best:
    loss: float = math.inf
    at: int = 0
    state: State | None = None


class EarlyStopping(Observer):
    """Ends a phase when held-out losses no longer fall, and restores the best state.

    Each part that a method learns by a loss of its own (`Method.parts`) has a best state of its
    own.

    Args:
        method: in training.
        held_out: samples of its task that are not learned from.
        patience: updates without a better loss, of any part, that end the phase.
        batch_size: samples evaluated at a time.

    Attributes:
        loss: mean held-out loss when it was last evaluated; NaN before.
    """

    def __init__(self, method: Method, held_out: Samples, patience: int, batch_size: int) -> None:
        self._method, self._held_out = method, held_out
        self._patience, self._batch_size = patience, batch_size
        self._best = {name: _Best() for name in method.parts}
        self._every = max(_EVALUATION_EVERY, math.ceil(len(held_out) / batch_size))
        self.loss = math.nan

    def on_update(self, phase: Phase, iteration: int, metrics: object) -> None:  # noqa: ARG002
        """Evaluate now and then.

        Raises:
            StopTask: no part has become better for long enough.
        """
        if iteration % self._every:
            return
        for name, loss in self._losses().items():
            if loss < self._best[name].loss:
                state = copy.deepcopy(self._method.parts[name].state_dict())
                self._best[name] = _Best(loss, iteration, state)
        if all(iteration - best.at >= self._patience for best in self._best.values()):
            raise StopTask

    def on_updates_end(self, phase: Phase) -> None:  # noqa: ARG002
        """Put every part to its best state."""
        for name, best in self._best.items():
            if best.state is not None:
                self._method.parts[name].load_state_dict(best.state)

    def _losses(self) -> dict[str, float]:
        """Means over the held-out samples."""
        totals = dict.fromkeys(self._best, 0.0)
        for batch in each_once([self._held_out], self._batch_size):
            for name, loss in self._method.losses(batch).items():
                totals[name] += float(loss) * len(batch) / len(self._held_out)
        self.loss = totals["loss"]
        return totals


class Terminated(KeyboardInterrupt):
    """The process was asked to end. Treated as Ctrl-C is, by all who do not tell them apart."""


@contextmanager
def interrupt_on_sigterm(request: Callable[[], bool] | None = None) -> Iterator[None]:
    """Treat SIGTERM as an interrupt; in another than the main thread, do nothing.

    Args:
        request: asks for an end, and tells whether it will come by itself, a little later. If
            not, the handler that was there before is called; where there was none, `Terminated`
            is raised.

    Raises:
        Terminated: SIGTERM came, and nobody else deals with it.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        if request is not None and request():
            return
        if callable(before):
            before(number, frame)
        raise Terminated

    if threading.current_thread() is not threading.main_thread():  # who may not set handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Termination(Observer):
    """Has a training saved before it ends.

    What is at work, an update or an evaluation, is finished first. Before the first update and
    after the last there is nothing to save.
    """

    def __init__(self) -> None:
        self._requested = False
        self._last: int | None = None  # row of the last phase, while one is trained

    def request(self) -> bool:
        """Ask for an end; whether it will come by itself, after the update at work."""
        self._requested = True
        return self._last is not None

    def on_start(self, tasks: Sequence[Task], total_iterations: int) -> None:  # noqa: ARG002
        """From now on there is something to save."""
        self._last = len(tasks) - 1

    def on_update(self, phase: Phase, iteration: int, metrics: Mapping[str, Tensor]) -> None:  # noqa: ARG002
        """End the training if that was asked for.

        Raises:
            StopTraining: it was.
        """
        if self._requested:
            raise StopTraining

    def on_task_end(self, phase: Phase, rows: Rows) -> None:  # noqa: ARG002
        """After the last task the results are about to be written: that is not waited for."""
        if phase.row == self._last:
            self._last = None
