"""One fit: a task learned, or continued."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from hypermnesia.data.stream import BatchStream, each_once
from hypermnesia.data.types import Samples
from hypermnesia.errors import ConfigError, DataError, RunError
from hypermnesia.evidence.likelihood import TaskLikelihoods
from hypermnesia.learner.design import Design, LearnerSettings, autoencoder_design
from hypermnesia.learner.inputs import Source, SourceSamples, divided, slices
from hypermnesia.learner.knowledge import Knowledge, TaskRecord, check_network, model_sizes
from hypermnesia.learner.targets import problem_of, targets_of
from hypermnesia.methods import TaskSpec
from hypermnesia.methods.hnet import HypernetMethod
from hypermnesia.state_files import State
from hypermnesia.training.loop import updates
from hypermnesia.training.observers import Fault, Health, NotFiniteError

_EVERY = 50  # updates between two looks


@dataclass
class _Best:
    loss: float = math.inf
    at: int = 0
    state: State | None = None


class EarlyStopping:
    """Remembers the best state of each part that a method learns by a loss of its own.

    Args:
        method: in training.
        held: samples of its task that are not learned from; None never stops.
        patience: updates without a better loss, of any part, after which it is enough.
        batch_size: samples a look takes at a time.
    """

    def __init__(
        self, method: HypernetMethod, held: Samples | None, patience: int, batch_size: int
    ) -> None:
        self._method, self._held = method, held
        self._patience, self._batch_size = patience, batch_size
        self._best = {name: _Best() for name in method.parts}
        looks = 0 if held is None else math.ceil(len(held) / batch_size)
        self._every = max(_EVERY, looks)
        self.loss = math.nan

    def enough(self, updates: int) -> bool:
        """Look, if it is time to after so many updates, and tell whether to stop."""
        if self._held is None or updates % self._every:
            return False
        for part, loss in self._losses(self._held).items():
            best = self._best[part]
            if loss < best.loss:
                state = self._method.parts[part].state_dict()
                self._best[part] = _Best(loss, updates, copy.deepcopy(state))
        return all(updates - best.at >= self._patience for best in self._best.values())

    def restore(self) -> None:
        """Put every part to its best state."""
        for part, best in self._best.items():
            if best.state is not None:
                self._method.parts[part].load_state_dict(best.state)

    def _losses(self, held: Samples) -> dict[str, float]:
        """Means over the samples held out."""
        totals = dict.fromkeys(self._best, 0.0)
        for batch in each_once([held], self._batch_size):
            for part, loss in self._method.losses(batch).items():
                totals[part] += float(loss) * len(batch) / len(held)
        self.loss = totals["loss"]
        return totals


Tell = Callable[[int, Tensor, float], None]
"""(updates done, loss of the last one, loss of the samples held out) -> None."""

Held = tuple[Source, Any] | None
"""Inputs and targets of samples held out."""


def first_knowledge(
    model: nn.Module, settings: LearnerSettings, source: Source, given: Any, device: torch.device
) -> Knowledge:
    """Knowledge of no task, designed for the first one's samples.

    Raises:
        HypermnesiaError: model, settings and samples that do not go together.
    """
    problem = settings.problem or problem_of(given)
    if problem == "regression" and settings.infer_task == "entropy":
        raise ConfigError(
            "entropy is of classes, and regression has none",
            got="infer_task='entropy'",
            cure="use infer_task='likelihood', or None and name the task to predict",
        )
    targets = targets_of(problem, given)
    sizes = model_sizes(model, settings, targets.outputs)
    likely = settings.infer_task == "likelihood"
    autoencoder = autoencoder_design(slices(source), settings.compression) if likely else None
    return Knowledge(model, settings, Design(problem, sizes, autoencoder), device)


def learn_task(
    knowledge: Knowledge, name: str | int, source: Source, given: Any, held: Held, tell: Tell
) -> None:
    """Learn a task that `knowledge` does not know, or go on with one that it does.

    Args:
        knowledge: changes; of no use if this fails.
        name: of the task.
        source: inputs of its samples.
        given: their targets.
        held: samples held out; None for a share of these.
        tell: told of every update.

    Raises:
        HypermnesiaError: samples that do not fit the task or the earlier ones; a loss that is no
            number.
    """
    _check_problem(knowledge, given)
    autoencoder, problem = knowledge.design.autoencoder, knowledge.design.problem
    centre = autoencoder.centre(slices(source)) if autoencoder else {}
    index = knowledge.index(name)
    if index is None:
        targets = targets_of(problem, given)
        index = _begin(knowledge, TaskRecord(name, targets), centre)
        check_network(knowledge.method.export(index), source, targets.outputs, problem)
    else:
        knowledge.method.continue_task(index, knowledge.settings.iterations)
    learned, held_out = _samples(knowledge, index, source, given), None
    if held is None:
        share, generator = knowledge.settings.validation, knowledge.generators["validation"]
        learned, held_out = divided(learned, share, generator)
    else:
        held_out = _samples(knowledge, index, *held)
    done = _update(knowledge, learned, held_out, f"task {name!r}", tell)
    knowledge.method.end_task(each_once([learned], knowledge.settings.batch_size))
    knowledge.count(index, samples=len(learned), updates=done)


def _check_problem(knowledge: Knowledge, given: Any) -> None:
    """Values among classes are a mistake, unless the user says that they are classes."""
    guessed = knowledge.settings.problem is None
    if (
        guessed
        and knowledge.design.problem == "classification"
        and problem_of(given) != "classification"
    ):
        raise DataError(
            "a learner whose first task had classes learns classes",
            got="floats",
            cure="make another learner for values, or convert labels to integers or strings",
        )


def _begin(knowledge: Knowledge, record: TaskRecord, centre: dict[str, Tensor]) -> int:
    """Make room for a new task, whose autoencoder has buffers `centre`; returns its index."""
    method, iterations = knowledge.method, knowledge.settings.iterations
    method.begin_task(TaskSpec(record.targets.outputs, iterations))
    if isinstance(method.evidence, TaskLikelihoods):
        own = method.evidence.memory.buffers[-1]
        own.update({name: value.to(knowledge.device) for name, value in centre.items()})
    knowledge.records.append(record)
    return len(knowledge.records) - 1


def _samples(knowledge: Knowledge, index: int, source: Source, given: Any) -> SourceSamples:
    y = knowledge.records[index].targets.encode(given)
    return SourceSamples(source, y, torch.arange(len(source)), index, knowledge.device)


def _update(
    knowledge: Knowledge,
    learned: SourceSamples,
    held_out: SourceSamples | None,
    name: str,
    tell: Tell,
) -> int:
    """Take updates until it is enough; returns how many."""
    method, settings = knowledge.method, knowledge.settings
    stream = BatchStream([learned], settings.batch_size, knowledge.generators["batches"])
    stopping = EarlyStopping(method, held_out, settings.patience, settings.batch_size)
    health, numbers = Health(name, 0, 0), range(settings.iterations)
    try:
        for done, metrics in updates(method, stream, health, numbers):
            tell(done, metrics["loss"], stopping.loss)
            if stopping.enough(done):
                break
    except NotFiniteError as error:
        raise _diverged(error.fault) from None
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):  # of torch's batch normalisation
            raise
        raise DataError(
            "batch normalisation needs more than one sample",
            got=f"batches of {min(settings.batch_size, len(learned))}",
            cure="give more samples, or a larger batch_size",
        ) from None
    stopping.restore()
    return done


def _diverged(fault: Fault) -> RunError:
    return RunError(
        "losses and gradients must stay finite",
        got=str(fault),
        cure="choose a smaller lr, or bring inputs nearer to [-1, 1]; the learner is as it was",
    )


_SECONDS = 0.3  # between two readings of the loss, each of which waits for the device


@contextmanager
def bar(title: str, updates: int, *, show: bool) -> Iterator[Tell]:
    """Who is told of every update, and shows it on stderr if asked to."""
    if not show:
        yield lambda _done, _loss, _held_out: None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=15),
        TextColumn("{task.completed}/{task.total} {task.fields[status]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        shown, last = progress.add_task(title, total=updates, status=""), 0.0

        def tell(done: int, loss: Tensor, held_out: float) -> None:
            nonlocal last
            if done == updates or time.monotonic() - last >= _SECONDS:
                last = time.monotonic()
                rest = "" if math.isnan(held_out) else f", held out {held_out:.4f}"
                status = f"loss {float(loss):.4f}{rest}"
                progress.update(shown, completed=done, status=status)

        yield tell
