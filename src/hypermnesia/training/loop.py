"""The one loop that trains everything: runs and the learner's fits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from hypermnesia.compute import reset_peak_memory
from hypermnesia.data.stream import AUGMENTATIONS, BatchStream, each_once
from hypermnesia.data.types import Batch, Task, check_samples, place
from hypermnesia.methods.base import Method, TaskSpec
from hypermnesia.seeding import Generators
from hypermnesia.training.checkpoint import MemoryStore, Saver, Store
from hypermnesia.training.evaluation import Progress, TrainResult, evaluate_in, measure_of
from hypermnesia.training.observers import (
    Health,
    NotFiniteError,
    Observer,
    ObserverGroup,
    StopTask,
    StopTraining,
)
from hypermnesia.training.phases import Phase, TrainSettings, evaluation_part, make_phases


class Stream(Protocol):
    """Mini-batches without end."""

    def next(self) -> Batch:
        """The next one."""


def learn(method: Method, stream: Stream, phase: Phase, observer: Observer, done: int = 0) -> int:
    """Take the updates of a phase whose tasks have begun.

    Args:
        method: has begun (or continued) the tasks.
        stream: their mini-batches.
        phase: how many updates there are.
        observer: sees every update; may end the phase (`StopTask`) or the training
            (`StopTraining`).
        done: updates of the phase that were taken before.

    Returns:
        The updates done by now.
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
) -> TrainResult:
    """Teach `method` the `tasks` in order, and measure it on all seen after each.

    It is measured in every scenario that it answers in.

    With `checkpoints` that hold one, the run goes on from there, and ends with the weights and
    the figures (times aside) that it would have had without the interruption, bit for bit.

    If an update reports a number that is not finite, the run goes back to the newest checkpoint,
    repeats the updates from there to the one before, and ends: method and checkpoints are then as
    that last good update left them.

    Args:
        method: newly built, on `device`.
        tasks: counted from 0, in order.
        settings: how long, on what, how often to save.
        generators: those that the method was built with.
        observer: sees everything; decides when to read the metrics off the device, and may
            end the training (`StopTraining`).
        device: where to bring the samples.
        checkpoints: where to save, and to look for a run to go on with; None for a copy in memory.

    Raises:
        ConfigError: settings that do not fit the tasks.
        DataError: samples that nothing can be learned from.
        RunError: checkpoints that cannot be written, or of which none is good; a loss or a
            gradient that is no finite number.
    """
    reset_peak_memory(device)
    check_samples(tasks)
    tasks = place(tasks, device)
    phases = make_phases(tasks, settings, method.trains_on)
    health, progress = Health(), Progress(len(tasks), method.answers, device)
    store = MemoryStore() if checkpoints is None else checkpoints
    every = settings.checkpoint_seconds
    saver = Saver(store, every, method, generators, observer, progress, health)
    until = _Until(progress)
    watching = ObserverGroup(health, progress, observer, until, saver)
    run = _Run(method, tasks, phases, settings, generators, watching, saver)
    while True:
        try:
            run.begin(until.reason)
            for phase in phases[progress.phase :]:
                until.check()
                stream = run.open(phase)
                learn(method, stream, phase, watching, progress.iteration)
                run.close(phase)
            return progress.result(method.compression(), measure_of(tasks[0].test))
        except NotFiniteError as error:
            until.error = error  # a GPU may repeat not quite what it did, and fail earlier
        except StopTraining:
            if until.error is not None:
                raise until.error from None
            raise


class _Until(Observer):
    """Ends a repeated training before the update that went wrong.

    Attributes:
        error: what went wrong; None where nothing has.
    """

    def __init__(self, progress: Progress) -> None:
        self.error: NotFiniteError | None = None
        self._progress = progress

    @property
    def reason(self) -> Sequence[str]:
        """Why the run goes back, if it does."""
        return () if self.error is None else (str(self.error.fault),)

    def check(self) -> None:
        """Raise `StopTraining` after the last good update."""
        if self.error is not None and self._progress.done == self.error.fault.good:
            raise StopTraining

    def on_update(self, phase: Phase, iteration: int, metrics: object) -> None:  # noqa: ARG002
        """Check."""
        self.check()


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

    def begin(self, reasons: Iterable[str]) -> None:
        """Put everything to the newest checkpoint.

        Where there is none yet, the beginning becomes one: there is always one to go back to.

        Args:
            reasons: what to report to the observers besides.
        """
        found = self.saver.restore()
        total = sum(phase.iterations for phase in self.phases)
        self.observer.on_start(self.tasks, total)
        if found is None:
            self.saver.save(stream=None)
            return
        skipped = (*reasons, *found.skipped, *self.observer.lost())
        self.observer.on_resume(self.saver.progress.done, skipped)

    def open(self, phase: Phase) -> BatchStream:
        """The batches of a phase, from a restored position on; without one its tasks begin."""
        name, parts = self.settings.augment, [task.train for task in phase.tasks]
        augment = None if name is None else AUGMENTATIONS[name]
        size, generator = self.settings.batch_size, self.generators["batches"]
        stream = BatchStream(parts, size, generator, augment)
        if not self.saver.attach(stream):
            for task in phase.tasks:
                self.method.begin_task(TaskSpec(task.outputs, phase.iterations))
        self.saver.progress.training.start()
        return stream

    def close(self, phase: Phase) -> None:
        """End a phase's tasks, measure the method on all seen, and save."""
        method = self.method
        parts = [task.train for task in phase.tasks]
        method.end_task(each_once(parts, self.settings.batch_size))
        seen = [evaluation_part(task, self.settings) for task in phase.seen]
        found = [evaluate_in(method, part, method.answers) for part in seen]
        rows = {name: [row[name] for row in found] for name in method.answers}
        self.saver.progress.close(phase, rows)
        self.observer.on_task_end(phase, rows)
        self.saver.save(stream=None)
