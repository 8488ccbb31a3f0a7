"""The one loop that trains everything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hypermnesia.compute import reset_peak_memory
from hypermnesia.data.stream import AUGMENTATIONS, BatchStream, each_once
from hypermnesia.data.types import Task, check_samples, place
from hypermnesia.methods.base import Method, TaskSpec
from hypermnesia.seeding import Generators
from hypermnesia.state_files import State
from hypermnesia.training.checkpoint import MemoryStore, Saver, Store, must_fit
from hypermnesia.training.evaluate import Progress, TrainResult, evaluate_in
from hypermnesia.training.observers import Health, NotFiniteError, Observer, StopTraining
from hypermnesia.training.phases import Phase, TrainSettings, evaluation_part, make_phases

Metrics = dict[str, Tensor]
"""Detached scalars that an update reports, `loss` among them."""


def updates(
    method: Method, stream: BatchStream, health: Health, numbers: range
) -> Iterator[tuple[int, Metrics]]:
    """Take updates of a task that has begun, each when it is asked for.

    Args:
        method: has begun the task.
        stream: its mini-batches.
        health: notes what they report, and has a last look when all are done.
        numbers: of the updates to take, from 0.

    Yields:
        How many updates of the task are done, and what the last one reported.

    Raises:
        NotFiniteError: a loss or a gradient is no finite number.
    """
    for number in numbers:
        metrics = method.update(stream.next())
        health.note(metrics)
        yield number + 1, metrics
    health.check()


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
        observer: told of everything; decides when to read the metrics off the device, and may
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
    progress = Progress(len(tasks), method.answers, device)
    store = MemoryStore() if checkpoints is None else checkpoints
    saver = Saver(store, settings.checkpoint_seconds, method, generators, observer, progress)
    run = _Run(method, tasks, phases, settings, generators, observer, progress, saver)
    try:
        run.go()
    except NotFiniteError as error:
        raise run.go_back(error) from None
    return progress.result(method.compression())


@dataclass(frozen=True)
class _Run:
    """What `train` was given; everything that changes is in `method`, `progress` and `saver`."""

    method: Method
    tasks: Sequence[Task]
    phases: Sequence[Phase]
    settings: TrainSettings
    generators: Generators
    observer: Observer
    progress: Progress
    saver: Saver

    def go(self, note: Sequence[str] = (), until: int | None = None) -> None:
        """Train from the newest checkpoint on.

        Args:
            note: what to tell the observers besides.
            until: number of updates of the run after which to save and raise `StopTraining`.
        """
        position = self._begin(note)
        for phase in self.phases[self.progress.phase :]:
            if self.progress.done == until:
                raise StopTraining
            self._learn(phase, self._stream(phase, position), until)
            self._close(phase)
            position = None

    def go_back(self, error: NotFiniteError) -> NotFiniteError:
        """Repeat what led to `error`, up to the update before; returns the error to raise."""
        while True:
            try:
                self.go((str(error.fault),), until=error.fault.good)
            except StopTraining:
                return error
            except NotFiniteError as earlier:  # a GPU may repeat not quite what it did
                error = earlier

    def _begin(self, note: Sequence[str]) -> State | None:
        """Put everything to the newest checkpoint; the position in a phase's data, if within one.

        Where there is none yet, the beginning becomes one: there is always one to go back to.
        """
        found = self.saver.restore()
        self.observer.on_start(self.tasks, sum(phase.iterations for phase in self.phases))
        if found is None:
            self.saver.save(stream=None)
            return None
        skipped = (*note, *found.skipped, *self.observer.lost())
        self.observer.on_resume(self.progress.done, skipped)
        position: State | None = found.state["stream"]
        return position

    def _learn(self, phase: Phase, stream: BatchStream, until: int | None) -> None:
        """Take the updates of a phase that are still to take."""
        progress = self.progress
        health = Health(phase.name, progress.iteration, progress.done)
        numbers = range(progress.iteration, phase.iterations)
        progress.training.start()
        for iteration, metrics in updates(self.method, stream, health, numbers):
            progress.count_update()
            try:
                self.observer.on_update(phase, iteration, metrics)
                if progress.done == until:
                    raise StopTraining
            except StopTraining:
                self._save(stream, health)
                raise
            if self.saver.due() and iteration < phase.iterations:
                self._save(stream, health)
            progress.training.start()
        progress.training.stop()

    def _close(self, phase: Phase) -> None:
        """End a phase's tasks, measure the method on all seen, and save."""
        method = self.method
        parts = [task.train for task in phase.tasks]
        method.end_task(each_once(parts, self.settings.batch_size))
        seen = [evaluation_part(task, self.settings) for task in phase.seen]
        found = [evaluate_in(method, part, method.answers) for part in seen]
        rows = {name: [row[name] for row in found] for name in method.answers}
        self.progress.close(phase, rows)
        self.observer.on_task_end(phase, rows)
        self.saver.save(stream=None)

    def _stream(self, phase: Phase, position: State | None) -> BatchStream:
        """The batches of a phase, from `position` on; without one its tasks begin."""
        name, parts = self.settings.augment, [task.train for task in phase.tasks]
        augment = None if name is None else AUGMENTATIONS[name]
        size, generator = self.settings.batch_size, self.generators["batches"]
        stream = BatchStream(parts, size, generator, augment)
        if position is not None:
            with must_fit():
                stream.load_state_dict(position)
            return stream
        for task in phase.tasks:
            self.method.begin_task(TaskSpec(task.outputs, phase.iterations))
        return stream

    def _save(self, stream: BatchStream, health: Health) -> None:
        """Save within a phase, but nothing that went wrong."""
        self.progress.training.stop()
        health.check()
        self.saver.save(stream.state_dict())
