"""What the networks of all tasks say, in the user's own terms."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hypermnesia.errors import ConfigError
from hypermnesia.learner.classes import Classes
from hypermnesia.learner.knowledge import Knowledge
from hypermnesia.learner.labels import Label, Labels
from hypermnesia.learner.model_checks import refused, taking
from hypermnesia.methods.inferred import InferredTaskMethod


class Answers(NamedTuple):
    """Outputs for n inputs, each from its own task's network.

    Attributes:
        scores: (n, widest) outputs, -inf beyond those of a sample's task.
        tasks: (n,) int64 index of its task, given or inferred.
        confidence: (n,) share of that task in the evidence of all, 1 where it was given.
    """

    scores: Tensor
    tasks: Tensor
    confidence: Tensor


@torch.no_grad()
def answers(knowledge: Knowledge, batches: Iterable[Tensor], task: int | None) -> Answers:
    """Ask the network of a task, or for each input that of the task that it speaks for.

    Raises:
        ConfigError: the task is needed and not given.
        TargetError: inputs that the model does not take.
    """
    ask = partial(_inferred, knowledge) if task is None else _alone(knowledge, task)
    parts = []
    for x in batches:
        with taking(x):
            parts.append(ask(x.to(knowledge.device)))
    return Answers(*(torch.cat(each).cpu() for each in zip(*parts, strict=True)))


def _alone(knowledge: Knowledge, task: int) -> Callable[[Tensor], Answers]:
    """Asks the network of one task, whose weights are made once."""
    network = knowledge.method.export(task).to(knowledge.device)

    def ask(x: Tensor) -> Answers:
        scores, tasks = network(x), torch.full((len(x),), task, device=x.device)
        if scores.ndim != 2:
            raise refused(x, f"scores of shape {tuple(scores.shape)}")
        return Answers(scores, tasks, torch.ones(len(x), device=x.device))

    return ask


def _inferred(knowledge: Knowledge, x: Tensor) -> Answers:
    method = knowledge.method
    if not isinstance(method, InferredTaskMethod):
        raise ConfigError(
            "a learner that infers no tasks must be told them",
            got="no task",
            cure="give task=..., or make the learner with infer_task='likelihood' or 'entropy'",
        )
    scores = method.scores_of_all(x)
    shares = method.evidence(x, scores).softmax(dim=0)
    confidence, tasks = shares.max(dim=0)
    return Answers(scores[tasks, torch.arange(len(x), device=x.device)], tasks, confidence)


def all_labels(knowledge: Knowledge, task: int | None) -> Labels:
    """The labels of a task, or those of all in the order in which they came.

    Raises:
        ConfigError: there are none in regression.
    """
    records = knowledge.records if task is None else [knowledge.records[task]]
    values: list[Label] = []
    for record in records:
        if not isinstance(record.targets, Classes):
            raise ConfigError(
                "classes belong to classification",
                got="a learner of regression",
                cure="predict gives its values",
            )
        values += record.targets.labels.values
    return Labels(values)


def predictions(knowledge: Knowledge, found: Answers) -> NDArray[Any]:
    """(n,) labels, or (n,) or (n, k) values.

    Raises:
        ConfigError: tasks with different numbers of values among them.
    """
    parts, rows = [], []
    for task in torch.unique(found.tasks).tolist():
        record, of_task = knowledge.records[task], found.tasks == task
        parts.append(record.targets.answer(found.scores[of_task, : record.targets.outputs]))
        rows.append(of_task.nonzero().squeeze(1))
    if len({part.shape[1:] for part in parts}) > 1:
        raise ConfigError(
            "tasks with different numbers of values cannot answer side by side",
            got="samples of several such tasks",
            cure="name the task",
        )
    order: NDArray[np.int64] = torch.cat(rows).argsort().numpy()
    return _joined(parts)[order]


def probabilities(knowledge: Knowledge, found: Answers, task: int | None) -> NDArray[np.float32]:
    """(n, labels) probabilities; 0 for a label that a sample's own task does not have."""
    labels = all_labels(knowledge, task)
    columns = found.scores.new_zeros(len(found.scores), len(labels))
    for index in torch.unique(found.tasks).tolist():
        own = all_labels(knowledge, index)
        of_task = (found.tasks == index).nonzero()
        shares = found.scores[of_task.squeeze(1), : len(own)].softmax(dim=1)
        columns[of_task, labels.encode(own.values)] = shares
    return columns.numpy()


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """One array; what is of several kinds stays what it is."""
    if len({part.dtype.kind for part in parts}) > 1:
        parts = [part.astype(object) for part in parts]
    return np.concatenate(parts)
