"""The one loop that trains everything."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hypermnesia.data.augment import AUGMENTATIONS
from hypermnesia.data.stream import BatchStream, each_once
from hypermnesia.data.types import Task, place
from hypermnesia.errors import RunError
from hypermnesia.methods.base import Method, TaskSpec
from hypermnesia.seeding import Generators
from hypermnesia.training.checkpoint import CheckpointStore
from hypermnesia.training.evaluate import evaluate
from hypermnesia.training.observer import Observer
from hypermnesia.training.phases import Phase, TrainSettings, evaluation_part, make_phases
from hypermnesia.training.progress import Progress, TrainResult
from hypermnesia.training.resources import reset_peak_memory
from hypermnesia.training.saver import Saver


def train(
    method: Method,
    tasks: Sequence[Task],
    *,
    settings: TrainSettings,
    generators: Generators,
    observer: Observer,
    device: torch.device,
    checkpoints: CheckpointStore | None = None,
) -> TrainResult:
    """Teach `method` the `tasks` in order, and measure it on all seen after each.

    It is measured in every scenario that it answers in.

    With `checkpoints` that hold one, the run goes on from there, and ends with the weights and
    the figures (times aside) that it would have had without the interruption, bit for bit.

    Args:
        method: newly built, on `device`.
        tasks: counted from 0, in order.
        settings: how long, on what, how often to save.
        generators: those that the method was built with.
        observer: told of everything; decides when to read the metrics off the device.
        device: where to bring the samples.
        checkpoints: where to save, and to look for a run to go on with; None for neither.

    Raises:
        ConfigError: settings that do not fit the tasks.
        RunError: checkpoints that cannot be written, or of which none is good; a loss that is no
            number when a phase ends or is to be saved.
    """
    reset_peak_memory(device)
    tasks = place(tasks, device)
    phases = make_phases(tasks, settings, method.trains_on)
    augment = None if settings.augment is None else AUGMENTATIONS[settings.augment]
    progress = Progress(len(tasks), method.answers, device)
    every = settings.checkpoint_seconds
    saver = Saver(checkpoints, every, method, generators, observer, progress)

    resumed = saver.restore()
    observer.on_start(tasks, sum(phase.iterations for phase in phases))
    if resumed is not None:
        observer.on_resume(progress.done, (*resumed.skipped, *observer.lost()))

    for phase in phases[progress.phase :]:
        parts = [task.train for task in phase.tasks]
        stream = BatchStream(parts, settings.batch_size, generators["batches"], augment)
        if resumed is not None and progress.iteration > 0:
            stream.load_state_dict(resumed.state["stream"])
        else:
            for task in phase.tasks:
                method.begin_task(TaskSpec(task.outputs, phase.iterations))

        while progress.iteration < phase.iterations:
            progress.training.start()
            metrics = method.update(stream.next())
            progress.count_update()
            observer.on_update(phase, progress.iteration, metrics)
            if saver.due() and progress.iteration < phase.iterations:
                progress.training.stop()
                _check_finite(phase, progress.iteration, metrics["loss"])
                saver.save(stream.state_dict())
        progress.training.stop()
        _check_finite(phase, progress.iteration, metrics["loss"])

        method.end_task(each_once(parts, settings.batch_size))
        seen = [evaluation_part(task, settings) for task in phase.seen]
        rows = {name: [evaluate(method, part, name) for part in seen] for name in method.answers}
        progress.close(phase, rows)
        observer.on_task_end(phase, rows)
        saver.save(stream=None)
    return progress.result(method.compression())


def _check_finite(phase: Phase, iteration: int, loss: Tensor) -> None:
    # Not at every update: reading the loss waits for the device.
    if not bool(torch.isfinite(loss)):
        raise RunError(
            "the loss must stay finite",
            got=f"{float(loss)} at iteration {iteration} of {phase.name}",
            cure="start another run with a smaller step (optimizer.lr)",
        )
