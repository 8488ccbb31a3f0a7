"""The phases of a run: what is trained on, for how long, and what is measured afterwards."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import fmean
from typing import Annotated, Literal, get_args

from pydantic import Field

from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.data.stream import AUGMENTATIONS
from hypermnesia.data.types import Part, Task
from hypermnesia.errors import ConfigError
from hypermnesia.settings import Integer, Name, Positive, Samples, SetAs, named_in

EvaluateOn = Literal["test", "validation"]
"""The part of a task that accuracies are of."""


@dataclass(frozen=True)
class TrainSettings:
    """How long, on what and how safely to train; checked before anything starts.

    Attributes:
        iterations: updates a task; None where `epochs` is given.
        epochs: passes over a task's training samples; None where `iterations` is given.
        batch_size: samples an update.
        augment: name of the data augmentation of training batches; None for none.
        evaluate_on: the part that fills the accuracy matrix; choices are made on `validation`.
        evaluate_every: after every so many tasks, and after the last, all tasks seen are evaluated;
            after the others the newest one alone.
        checkpoint_seconds: wall seconds between two checkpoints inside a task.

    Raises:
        ConfigError: a value that cannot work.
    """

    batch_size: Annotated[Integer, Field(ge=1, le=10**6)]
    iterations: Samples | None = None
    epochs: Annotated[Integer, Field(ge=1, le=10**6)] | None = None
    augment: Annotated[Name, named_in(AUGMENTATIONS)] | None = None
    evaluate_on: Annotated[EvaluateOn, Field(exclude=True), SetAs("data.evaluate_on")] = "test"
    evaluate_every: Annotated[Integer, Field(ge=1, le=100_000)] = 1
    checkpoint_seconds: Positive = 60.0

    def __post_init__(self) -> None:
        if (self.iterations is None) == (self.epochs is None):
            rule = "a task's length must be given once, as iterations or as epochs"
            got = f"iterations={self.iterations}, epochs={self.epochs}"
            hint = "set one of them and leave the other out, or to null"
            raise ConfigError(rule, got=got, hint=hint)
        for name in ("iterations", "epochs", "batch_size", "evaluate_every"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be 1 or more", got=value)
        if not self.checkpoint_seconds >= 0:  # NaN is not
            rule = "checkpoint_seconds must be 0 (after every update) or more"
            raise ConfigError(rule, got=self.checkpoint_seconds)
        if self.evaluate_on not in get_args(EvaluateOn):
            raise ConfigError("evaluate_on must be test or validation", got=self.evaluate_on)

    def updates(self, samples: int) -> int:
        """Number of updates for so many samples; an epoch is its full batches, or one if none."""
        if self.epochs is not None:
            return self.epochs * max(1, samples // self.batch_size)
        assert self.iterations is not None  # noqa: S101 - __post_init__ saw to it
        return self.iterations


@dataclass(frozen=True)
class Phase:
    """A stretch of training between two evaluations: one task, or all of them at once."""

    index: int  # position among the phases, from 0
    tasks: tuple[Task, ...]  # that begin here and are trained on
    iterations: int  # number of updates
    seen: tuple[Task, ...]  # every task begun so far
    before: int = 0  # number of updates in earlier phases
    title: str | None = None  # its name in progress bars; by default that of its tasks
    whole: bool = True  # all tasks seen are evaluated at the end, not the newest one alone

    @property
    def name(self) -> str:
        """Its title, or that of its tasks."""
        if self.title is not None:
            return self.title
        return self.tasks[0].name if len(self.tasks) == 1 else f"all {len(self.tasks)} tasks"

    @property
    def row(self) -> int:
        """The row of the accuracy matrix that the evaluation fills: the last task seen."""
        return len(self.seen) - 1


Measure = Literal["accuracy", "mse"]
"""What is evaluated: percent of right answers, or mean squared errors of values."""


@dataclass(frozen=True)
class Evaluation:
    """Figures of one task; `inference` is None where tasks were given or are not known."""

    accuracy: float  # percent of right answers, or the mean squared error; NaN if not evaluated
    inference: float | None  # percent of samples answered with their own task
    inferred: tuple[int, ...] = ()  # number of samples answered with each task begun so far
    measure: Measure = "accuracy"  # what `accuracy` holds

    @property
    def known(self) -> bool:
        """Whether the task was evaluated."""
        return not math.isnan(self.accuracy)


Rows = Mapping[ScenarioName, Sequence[Evaluation]]
"""scenario -> evaluations of all tasks seen, in order; the newest one is always known."""


def mean_accuracy(row: Sequence[Evaluation]) -> float:
    """The mean of what is known; NaN if nothing is."""
    known = [each.accuracy for each in row if each.known]
    return fmean(known) if known else math.nan


def make_phases(
    tasks: Sequence[Task], settings: TrainSettings, trains_on: Literal["task", "all"]
) -> list[Phase]:
    """One phase a task, or one over all; raises for tasks not counted from 0 or without samples."""
    if not tasks:
        raise ConfigError("there must be a task to learn", got="none")
    for position, task in enumerate(tasks):
        if task.index != position:
            rule = "tasks must be counted from 0 in the order in which they are learned"
            got = f"'{task.name}' at position {position} with index {task.index}"
            raise ConfigError(rule, got=got)
        for kind, part in (("train", task.train), ("evaluate", evaluation_part(task, settings))):
            if len(part) == 0:
                raise ConfigError(f"a task must have samples to {kind} on", got=f"'{task.name}'")
    seen = tuple(tasks)
    updates = [settings.updates(len(task.train)) for task in tasks]
    every = settings.evaluate_every
    whole = [n % every == 0 or n == len(tasks) for n in range(1, len(tasks) + 1)]
    before = [0, *accumulate(updates)]
    if trains_on == "all":
        return [Phase(0, seen, sum(updates), seen)]
    return [
        Phase(index, (task,), updates[index], seen[: index + 1], before[index], None, whole[index])
        for index, task in enumerate(tasks)
    ]


def evaluation_part(task: Task, settings: TrainSettings) -> Part:
    """The samples of `task` that fill the accuracy matrix; raises `ConfigError` if none do."""
    part = task.test if settings.evaluate_on == "test" else task.validation
    if part is None:
        rule = "evaluating on validation samples needs some to be held out"
        hint = "hold out a validation part, or evaluate on test"
        raise ConfigError(rule, got=f"none for task '{task.name}'", hint=hint)
    return part
