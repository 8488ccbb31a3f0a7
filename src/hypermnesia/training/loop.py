"""The one loop that trains everything, runs and the learner's fits, and the signal to end it."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from hypermnesia.compute import reset_peak_memory
from hypermnesia.data.stream import AUGMENTATIONS, BatchStream, each_once
from hypermnesia.data.types import Batch, Task, check_samples, place
from hypermnesia.methods.base import Method, TaskSpec, bytes_kept
from hypermnesia.seeding import Generators
from hypermnesia.training.checkpoint import MemoryStore, Saver, Store
from hypermnesia.training.evaluation import (
    Progress,
    TrainResult,
    evaluate_in,
    gain_before,
    measure_of,
)
from hypermnesia.training.observers import (
    Health,
    NotFiniteError,
    Observer,
    ObserverGroup,
    StopTask,
    StopTraining,
)
from hypermnesia.training.phases import (
    Evaluation,
    Phase,
    Rows,
    TrainSettings,
    evaluation_part,
    make_phases,
)

if TYPE_CHECKING:
    from hypermnesia.parallel import Ranks


class Stream(Protocol):
    """Mini-batches without end."""

    def next(self) -> Batch:
        """The next one."""


def learn(method: Method, stream: Stream, phase: Phase, observer: Observer, done: int = 0) -> int:
    """Take the updates of a phase that has begun, after the `done` ones; returns their number.

    The observer may end the phase (`StopTask`) or, which this raises, all (`StopTraining`).
    """
    try:
        while done < phase.iterations:
            metrics = method.update(stream.next())
            done += 1
            observer.on_update(phase, done, metrics)
    except StopTask:
        pass
    except StopTraining:
        observer.on_stop(phase)
        raise
    observer.on_updates_end(phase)
    return done


def train(
    method: Method,
    tasks: Sequence[Task],
    *,
    settings: TrainSettings,
    generators: Generators,
    observer: Observer,
    device: torch.device,
    checkpoints: Store | None = None,
    ranks: Ranks | None = None,
) -> TrainResult:
    """Teach `method` the `tasks` in order, and evaluate it on all seen, by default after each.

    With `checkpoints` that hold one, the run goes on from there, and ends with the weights and
    the figures (times aside) that it would have had without the interruption, bit for bit.

    If an update reports a number that is not finite, the run goes back to the newest checkpoint,
    repeats the updates from there to the one before, and ends: method and checkpoints are then as
    that last good update left them.

    `method` is newly built with the `generators`, on the `device` to which samples are brought. The
    observer may end the training (`StopTraining`). Without `checkpoints` a copy stays in memory.
    Of several `ranks` each takes its part of every batch; checkpoints are those of rank 0.

    Raises:
        ConfigError: settings that do not fit the tasks.
        DataError: samples that nothing can be learned from.
        RunError: checkpoints that cannot be written or of which none is good; a number not finite.
    """
    reset_peak_memory(device)
    check_samples(tasks)
    tasks = place(tasks, device)
    phases = make_phases(tasks, settings, method.trains_on)
    progress = Progress(len(tasks), method.answers, device)
    until, store = _Until(progress), MemoryStore() if checkpoints is None else checkpoints
    of_run = method, generators, observer, progress
    saver, watching = _observed(*of_run, until, store, settings.checkpoint_seconds, ranks)
    part = None if ranks is None else ranks.part
    run = _Run(method, tasks, phases, settings, generators, watching, saver, part)
    while True:
        try:
            run.begin(until.error)
            for phase in phases[progress.phase :]:
                until.check()
                stream = run.open(phase)
                learn(method, stream, phase, watching, progress.iteration)
                run.close(phase)
            found = progress.result(method.compression(), measure_of(tasks[0].test))
            return replace(found, kept=method.kept, kept_bytes=bytes_kept(method))
        except NotFiniteError as error:
            until.error = error  # a GPU may repeat not quite what it did, and fail earlier
        except StopTraining:
            if until.error is not None:
                raise until.error from None
            raise


def _observed(
    method: Method,
    generators: Generators,
    observer: Observer,
    progress: Progress,
    until: _Until,
    store: Store,
    every: float,
    ranks: Ranks | None,
) -> tuple[Saver, ObserverGroup]:
    """What saves a run, and all that watches it; of several ranks, in step with the others."""
    health = Health()
    if ranks is None:
        saver = Saver(store, every, method, generators, observer, progress, health)
        return saver, ObserverGroup(health, progress, observer, until, saver)
    from hypermnesia.training import ranks as several  # which few need

    several.share(ranks, method, generators)
    store, observer = several.SharedStore(ranks, store), several.Together(ranks, observer, method)
    of_saver = store, every, method, generators, observer, progress, health
    saver = several.SharedSaver(ranks, *of_saver)
    return saver, several.Averaging(ranks, health, progress, observer, until, saver)


class _Until(Observer):
    """Ends a repeated training before the update that went wrong with `error`."""

    def __init__(self, progress: Progress) -> None:
        self.error: NotFiniteError | None = None
        self._progress = progress

    def check(self, *_: Any, **__: Any) -> None:
        """Raise `StopTraining` after the last good update."""
        if self.error is not None and self._progress.done == self.error.fault.good:
            raise StopTraining

    on_update = check


@dataclass
class _Run:
    """What happens around the updates of the phases."""

    method: Method
    tasks: Sequence[Task]
    phases: Sequence[Phase]
    settings: TrainSettings
    generators: Generators
    observer: Observer
    saver: Saver
    part: Callable[[int], slice] | None = None

    def begin(self, error: NotFiniteError | None) -> None:
        """Go to the newest checkpoint, back after an `error`; the beginning becomes the first."""
        found = self.saver.restore()
        self.observer.on_start(self.tasks, sum(phase.iterations for phase in self.phases))
        if found is None:
            self.saver.save(stream=None)
            return
        reasons = [] if error is None else [str(error.fault)]
        skipped = (*reasons, *found.skipped, *self.observer.lost())
        self.observer.on_resume(self.saver.progress.done, skipped)

    def open(self, phase: Phase) -> BatchStream:
        """The batches of a phase, from a restored position on; without one its tasks begin."""
        settings, parts = self.settings, [task.train for task in phase.tasks]
        augment = None if settings.augment is None else AUGMENTATIONS[settings.augment]
        generator = self.generators["batches"]
        stream = BatchStream(parts, settings.batch_size, generator, augment, self.part)
        if not self.saver.attach(stream):
            for task in phase.tasks:
                self.method.begin_task(TaskSpec(task.outputs, phase.iterations))
            if len(phase.tasks) == 1 and phase.row:
                part = evaluation_part(phase.tasks[0], settings)
                self.saver.progress.gain(phase.row, gain_before(self.method, part))
        self.saver.progress.training.start()
        return stream

    def close(self, phase: Phase) -> None:
        """End a phase's tasks, measure the method on those seen, and save."""
        method, parts = self.method, [task.train for task in phase.tasks]
        method.end_task(each_once(parts, self.settings.batch_size))
        asked = phase.seen if phase.whole else phase.seen[-1:]
        seen = [evaluation_part(task, self.settings) for task in asked]
        found = [evaluate_in(method, part, method.answers) for part in seen]
        unknown = [Evaluation(math.nan, None, measure=measure_of(seen[-1]))]
        unknown *= len(phase.seen) - len(seen)
        rows = {name: [*unknown, *(row[name] for row in found)] for name in method.answers}
        self.saver.progress.close(phase, rows)
        self.observer.on_task_end(phase, rows)
        self.saver.save(stream=None)


class Terminated(KeyboardInterrupt):
    """The process was asked to end; like Ctrl-C to all who do not catch it apart."""


@contextmanager
def interrupt_on_sigterm(request: Callable[[], bool] | None = None) -> Iterator[None]:
    """Treat SIGTERM as an interrupt; in another than the main thread, do nothing.

    `request` asks for an end, and returns whether it will come by itself, a little later. If not,
    the handler that was there before is called, or `Terminated` is raised.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        if request is not None and request():
            return
        if callable(before):
            before(number, frame)
        raise Terminated

    if threading.current_thread() is not threading.main_thread():  # which may set no handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Termination(Observer):
    """Has a training saved before it ends; an update or evaluation at work is finished first."""

    def __init__(self) -> None:
        self._requested = False
        self._last: int | None = None  # row of the last phase, while one is trained

    def request(self) -> bool:
        """Ask for an end; return whether it will come by itself, after the update at work."""
        self._requested = True
        return self._last is not None

    def on_start(self, tasks: Sequence[Task], total_iterations: int) -> None:  # noqa: ARG002
        """From now on there is something to save."""
        self._last = len(tasks) - 1

    def on_update(self, phase: Phase, iteration: int, metrics: Mapping[str, Tensor]) -> None:  # noqa: ARG002
        """Raise `StopTraining` if an end was asked for."""
        if self._requested:
            raise StopTraining

    def on_task_end(self, phase: Phase, rows: Rows) -> None:  # noqa: ARG002
        """After the last task nothing is left to save: the results are about to be written."""
        if phase.row == self._last:
            self._last = None
