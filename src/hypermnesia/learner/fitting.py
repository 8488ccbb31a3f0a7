"""One fit: a task learned, or gone on with, in knowledge of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from hypermnesia.data.stream import BatchStream, each_once
from hypermnesia.errors import ConfigError, DataError, RunError
from hypermnesia.learner.build import model_sizes
from hypermnesia.learner.design import Design, autoencoder_design
from hypermnesia.learner.knowledge import Knowledge, TaskRecord
from hypermnesia.learner.model_checks import check_network
from hypermnesia.learner.samples import SourceSamples, divided
from hypermnesia.learner.settings import LearnerSettings
from hypermnesia.learner.sources import Source, slices
from hypermnesia.learner.stopping import EarlyStopping
from hypermnesia.learner.targets import problem_of, targets_of
from hypermnesia.methods import TaskSpec
from hypermnesia.methods.likelihood import HypernetLikelihood
from hypermnesia.training.health import Fault, Health, NotFiniteError
from hypermnesia.training.updates import updates

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
    if isinstance(method, HypernetLikelihood):
        own = method.autoencoders.memory.buffers[-1]
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
