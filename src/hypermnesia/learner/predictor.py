"""What can be asked of a learner."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hypermnesia.errors import ConfigError, DataError
from hypermnesia.learner.inputs import slices, source_of
from hypermnesia.learner.knowledge import Knowledge, refused, taking
from hypermnesia.learner.targets import Classes, Label, Labels, listed, plain
from hypermnesia.registry import unknown_name


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
    if method.evidence is None:
        raise ConfigError(
            "a learner that infers no tasks must be told them",
            got="no task",
            cure="give task=..., or make the learner with infer_task='likelihood' or 'entropy'",
        )
    scores = method.logits_of_all(x)
    shares = method.evidence.log_evidence(x, scores).softmax(dim=0)
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


def scored(knowledge: Knowledge, answers: NDArray[Any], given: Any) -> float:
    """The share of right labels or, in regression, R²: what scikit-learn's estimators score by."""
    if knowledge.design.problem == "regression":
        from sklearn.metrics import r2_score  # type: ignore[import-untyped]  # slow to import

        return float(r2_score(np.asarray(given), answers))
    right = [a == plain(b) for a, b in zip(answers.tolist(), listed(given), strict=True)]
    return float(np.mean(right))


def summary(knowledge: Knowledge) -> str:
    """A line for each task, and one for all."""
    rows: list[tuple[str, ...]] = [("task", "outputs", "samples", "updates")]
    for record in knowledge.records:
        counts = (record.targets.outputs, record.samples, record.updates)
        rows.append((str(record.name), *map(str, counts)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    ]
    memories, tasks = knowledge.method.parts.values(), len(knowledge.records)
    share = sum(memory.kept for memory in memories) / sum(memory.largest for memory in memories)
    kept = f"{share:.2f} of the learned values of one task's networks"
    return "\n".join([*lines, f"{knowledge.design.problem}; {tasks} tasks kept in {kept}"])


class InferredTasks(NamedTuple):
    """The tasks that inputs speak for.

    Attributes:
        tasks: (n,) names.
        confidence: (n,) share of that task in the evidence of all, from 0 to 1.
    """

    tasks: NDArray[Any]
    confidence: NDArray[np.float32]


class Predictor:
    """Answers from the networks of the tasks learned; asking changes nothing."""

    _knowledge: Knowledge | None = None

    def predict(self, x: Any, task: str | int | None = None) -> NDArray[Any]:
        """The labels, or the values, of inputs.

        Args:
            x: (n, *sample) inputs, or a `Dataset` or `DataLoader` of which the inputs are taken.
            task: their task; inferred for each input if it is not given.

        Returns:
            (n,) labels as they were given to `fit`; in regression (n,) or (n, k) values.

        Raises:
            ConfigError: an unknown task, or none where it is needed.
        """
        return predictions(self._learned, self._answers(x, task))

    def predict_proba(self, x: Any, task: str | int | None = None) -> NDArray[np.float32]:
        """(n, labels) probabilities, in the order of `classes(task)`.

        Without a task, those of the inferred task's network, and 0 for labels of other tasks.

        Raises:
            ConfigError: an unknown task, or none where it is needed; regression.
        """
        index = None if task is None else self._index(task)
        return probabilities(self._learned, self._answers(x, task), index)

    def predict_task(self, x: Any) -> InferredTasks:
        """The task of each of n inputs, and how much of the evidence speaks for it.

        The evidence is the likelihood of an input under a task or, less to be trusted,
        exp(-entropy) of the task's answer.

        Raises:
            ConfigError: the learner infers no tasks.
        """
        found = self._answers(x, None)
        names = Labels(self.tasks).array
        return InferredTasks(names[found.tasks.numpy()], found.confidence.numpy())

    def score(self, data: Any, y: Any = None, *, task: str | int | None = None) -> float:
        """Share of right labels, or R² of values, as scikit-learn scores them.

        Args:
            data: as for `fit`.
            y: as for `fit`.
            task: the samples' task; inferred for each if it is not given.
        """
        return scored(self._learned, self.predict(data, task), source_of(data, y).targets())

    @property
    def tasks(self) -> list[str | int]:
        """Names of the tasks learned, in their order."""
        return [record.name for record in self._knowledge.records] if self._knowledge else []

    def classes(self, task: str | int | None = None) -> NDArray[Any]:
        """The labels of a task, sorted; or those of all tasks, in the order in which they came."""
        index = None if task is None else self._index(task)
        return all_labels(self._learned, index).array

    def summary(self) -> str:
        """A table of the tasks, and what is kept for them."""
        return summary(self._learned)

    def export(self, task: str | int) -> nn.Module:
        """A plain module with a task's weights and buffers, ready to evaluate, on the CPU.

        It gives the task's scores (batch, outputs), for classes in the order of `classes(task)`; in
        regression, values. It depends on nothing of Hypermnesia but in regression, where its last
        step is `Rescale`.
        """
        index = self._index(task)
        targets = self._learned.records[index].targets
        return targets.finish(self._learned.method.export(index))

    @property
    def _learned(self) -> Knowledge:
        if self._knowledge is None:
            raise ConfigError("a learner must be fitted first", got="no task", cure="call fit")
        return self._knowledge

    def _index(self, task: str | int) -> int:
        index = self._learned.index(task)
        if index is None:
            raise unknown_name("task", task, map(str, self.tasks))
        return index

    def _answers(self, x: Any, task: str | int | None) -> Answers:
        index = None if task is None else self._index(task)
        source = source_of(x)
        if not len(source):
            raise DataError("there must be inputs to answer for", got="none")
        return answers(self._learned, slices(source), index)
