"""Predictions of a learner: labels, values, probabilities, tasks, logits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hypermnesia.compute import undisturbed
from hypermnesia.errors import ConfigError, DataError
from hypermnesia.learner.inputs import Source, read_once, slices, source_of
from hypermnesia.learner.knowledge import Knowledge, inputs_accepted, rejected
from hypermnesia.learner.targets import Classes, Label, Labels, numbers, plain
from hypermnesia.methods.base import InfersTask
from hypermnesia.registry import unknown_name


class Answers(NamedTuple):
    """Outputs for n inputs."""

    outputs: Tensor  # (n, k) of a sample's own task, -inf beyond; or of all tasks side by side
    tasks: Tensor  # (n,) int64 index of the sample's task, given or inferred
    confidence: Tensor  # (n,) share of that task in the evidence of all, 1 where it was given
    joined: bool = False  # whether `outputs` are those of all tasks, of one network


@torch.no_grad()
def answers(knowledge: Knowledge, batches: Iterable[Tensor], task: int | None) -> Answers:
    """Answer with the network of a task or, for each input, with that of its inferred task."""
    parts, joined = [], False
    network = None if task is None else knowledge.served(task)
    for x in batches:
        with inputs_accepted(x), knowledge.lock:
            found = _answer(knowledge, _placed(knowledge, x), network, task)
        joined = found.joined
        parts.append(found[:3])
    outputs, tasks, confidence = (torch.cat(each).cpu() for each in zip(*parts, strict=True))
    return Answers(outputs, tasks, confidence, joined)


@torch.no_grad()
def told(knowledge: Knowledge, batches: Iterable[Tensor], task: int) -> NDArray[Any]:
    """(n,) labels, or (n,) or (n, k) values, from the network of a task alone."""
    network, parts = knowledge.served(task), []
    for x in batches:
        with inputs_accepted(x), knowledge.lock:
            parts.append(_logits(network, _placed(knowledge, x)).cpu())
    return knowledge.records[task].targets.answer(torch.cat(parts) if parts[1:] else parts[0])


def _logits(network: nn.Module, x: Tensor) -> Tensor:
    logits: Tensor = network(x)
    if logits.ndim != 2:
        raise rejected(x, f"logits of shape {tuple(logits.shape)}")
    return logits


def _placed(knowledge: Knowledge, x: Tensor) -> Tensor:
    """Inputs where they are learned and, whatever torch's default is now, of that type."""
    return x.to(knowledge.device, knowledge.dtype if x.is_floating_point() else None)


def _answer(
    knowledge: Knowledge, x: Tensor, network: nn.Module | None, task: int | None
) -> Answers:
    if network is not None and task is not None:
        logits = _logits(network, x)
        tasks = torch.full((len(x),), task, device=x.device)
        return Answers(logits, tasks, torch.ones(len(x), device=x.device))
    method = knowledge.method
    if method.answers == ("task",):
        rule = "a learner that infers no tasks must be told them"
        hint = "give task=..., or make the learner with infer_task='likelihood' or 'entropy'"
        raise ConfigError(rule, got="no task", hint=hint)
    if isinstance(method, InfersTask):
        logits, log_evidence = method.logits_and_evidence(x)
        confidence, tasks = log_evidence.softmax(dim=0).max(dim=0)
        own = logits[tasks, torch.arange(len(x), device=x.device)]
        return Answers(own, tasks, confidence)
    return _answer_jointly(knowledge, x)


def _answer_jointly(knowledge: Knowledge, x: Tensor) -> Answers:
    """One network's outputs over all tasks; the task with the largest probability is inferred."""
    outputs, scenario = knowledge.method.predict(x).logits, knowledge.method.scenario
    if scenario.name == "domain":
        tasks = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        return Answers(outputs, tasks, torch.ones(len(x), device=x.device), joined=True)
    by_task = torch.split(outputs.softmax(dim=1), list(scenario.heads), dim=1)
    confidence, tasks = torch.stack([each.sum(dim=1) for each in by_task]).max(dim=0)
    return Answers(outputs, tasks, confidence, joined=True)


def _columns(knowledge: Knowledge, task: int | None) -> list[Label]:
    """The label of each output of a task, or of all tasks side by side."""
    records = knowledge.records if task is None else [knowledge.records[task]]
    values: list[Label] = []
    for record in records:
        if not isinstance(record.targets, Classes):
            rule = "classes belong to classification"
            raise ConfigError(rule, got="a learner of regression", hint="predict gives its values")
        values += record.targets.labels.values
    return values


def predictions(knowledge: Knowledge, found: Answers) -> NDArray[Any]:
    """(n,) labels, or (n,) or (n, k) values; raises `ConfigError` where their numbers differ."""
    if found.joined and knowledge.design.problem == "classification":
        columns = _columns(knowledge, None)
        labels = Labels(columns)
        chosen: NDArray[Any] = labels.array[labels.encode(columns)[found.outputs.argmax(dim=1)]]
        return chosen
    parts, rows = [], []
    for task in torch.unique(found.tasks).tolist():
        record, of_task = knowledge.records[task], found.tasks == task
        parts.append(record.targets.answer(found.outputs[of_task, : record.targets.outputs]))
        rows.append(of_task.nonzero().squeeze(1))
    if len({part.shape[1:] for part in parts}) > 1:
        rule = "tasks with different numbers of values cannot answer side by side"
        raise ConfigError(rule, got="samples of several such tasks", hint="name the task")
    if len({part.dtype.kind for part in parts}) > 1:  # what is of several kinds stays what it is
        parts = [part.astype(object) for part in parts]
    order: NDArray[np.int64] = torch.cat(rows).argsort().numpy()
    return np.concatenate(parts)[order]


def probabilities(knowledge: Knowledge, found: Answers, task: int | None) -> NDArray[np.float32]:
    """(n, labels) probabilities; 0 for a label that a sample's own task does not have."""
    labels = Labels(_columns(knowledge, task))
    shares = found.outputs.new_zeros(len(found.outputs), len(labels))
    if found.joined:
        columns = labels.encode(_columns(knowledge, None))
        return shares.index_add(1, columns, found.outputs.softmax(dim=1)).numpy()
    for index in torch.unique(found.tasks).tolist():
        own, of_task = _columns(knowledge, index), (found.tasks == index).nonzero()
        of_own = found.outputs[of_task.squeeze(1), : len(own)].softmax(dim=1)
        shares[of_task, labels.encode(own)] = of_own
    return shares.numpy()


def score(knowledge: Knowledge, answers: NDArray[Any], given: list[object]) -> float:
    """The share of right labels or, in regression, R²: what scikit-learn's estimators score by.

    Raises `DataError` for targets with another number of values than the answers.
    """
    if knowledge.design.problem == "regression":
        from sklearn.metrics import r2_score  # type: ignore[import-untyped]  # slow to import

        values, found = (numbers(y).numpy().reshape(len(y), -1) for y in (given, answers))
        if values.shape != found.shape:
            got = f"targets of shape {values.shape} for {found.shape} answers"
            raise DataError("a target must have as many values as an answer", got=got)
        return float(r2_score(values, found))
    right = [a == plain(b) for a, b in zip(answers.tolist(), given, strict=True)]
    return float(np.mean(right))


def summary(knowledge: Knowledge) -> str:
    """A line for each task, and one for all."""
    records = [(r.name, r.targets.outputs, r.samples, r.updates) for r in knowledge.records]
    rows = [
        [str(each) for each in row] for row in [("task", "outputs", "samples", "updates"), *records]
    ]
    first, *widths = (max(map(len, column)) for column in zip(*rows, strict=True))
    lines = ["  ".join([row[0].ljust(first), *map(str.rjust, row[1:], widths)]) for row in rows]
    share, tasks = knowledge.method.compression(), len(knowledge.records)
    kept = f"{share:.2f} of the learned values of one task's networks"
    stored = f"{knowledge.stored} numbers stored, with buffers"
    return "\n".join(
        [*lines, f"{knowledge.design.problem}; {tasks} tasks kept in {kept}; {stored}"]
    )


def _names(knowledge: Knowledge) -> list[Label]:
    return [record.name for record in knowledge.records]


def _index(knowledge: Knowledge, task: Label) -> int:
    index = knowledge.index(task)
    if index is None:
        raise unknown_name("task", task, map(str, _names(knowledge)))
    return index


def _source(knowledge: Knowledge, x: Any, y: Any = None) -> Source:
    source = source_of(x, y, form=knowledge.design.form)
    if not len(source):
        raise DataError("there must be inputs to answer for", got="none")
    return source


def _asked(knowledge: Knowledge, x: Any, task: Label | None) -> Answers:
    index = None if task is None else _index(knowledge, task)
    return answers(knowledge, slices(_source(knowledge, x)), index)


class InferredTasks(NamedTuple):
    """The tasks that inputs speak for: (n,) names, and their shares in the evidence of all."""

    tasks: NDArray[Any]
    confidence: NDArray[np.float32]


class Predictor:
    """Answers from the networks of the tasks learned; asking changes nothing.

    Any number of threads may ask, also while one of them fits. An `autocast` around a call changes
    no answer.
    """

    _knowledge: Knowledge | None = None

    def predict(self, x: Any, task: Label | None = None) -> NDArray[Any]:
        """The labels, or the values, of inputs.

        Args:
            x: (n, *sample) inputs, or a `Dataset` or `DataLoader` of which the inputs are taken: a
                loader's in the order of one epoch, or that of the data set where it shuffles.
            task: their task; inferred for each input if it is not given.

        Returns:
            (n,) labels as they were given to `fit`; in regression (n,) or (n, k) values.

        Raises:
            ConfigError: an unknown task, or none where it is needed.
        """
        with self._undisturbed() as known:
            if task is not None:
                return told(known, slices(_source(known, x)), _index(known, task))
            return predictions(known, _asked(known, x, None))

    def predict_proba(self, x: Any, task: Label | None = None) -> NDArray[np.float32]:
        """(n, labels) probabilities, in the order of `classes(task)`.

        Without a task, those of the inferred task's network, and 0 for labels of other tasks.
        Raises `ConfigError` for an unknown task, none where it is needed, or regression.
        """
        with self._undisturbed() as known:
            index = None if task is None else _index(known, task)
            return probabilities(known, _asked(known, x, task), index)

    def predict_task(self, x: Any) -> InferredTasks:
        """The task of each of n inputs, and how much of the evidence speaks for it.

        The evidence is the likelihood of an input under a task or, less to be trusted,
        exp(-entropy) of its answer. Raises `ConfigError` if the learner infers no tasks.
        """
        with self._undisturbed() as known:
            found, names = _asked(known, x, None), Labels(_names(known)).array
            return InferredTasks(names[found.tasks.numpy()], found.confidence.numpy())

    def score(self, data: Any, y: Any = None, *, task: Label | None = None) -> float:
        """Share of right labels, or R² of values, as scikit-learn scores them; data as for `fit`.

        The task of each sample is inferred if it is not given. Samples are read once, each target
        with its input.
        """
        with self._undisturbed() as known:
            index = None if task is None else _index(known, task)
            inputs, targets = read_once(_source(known, data, y))
            return score(known, predictions(known, answers(known, inputs, index)), targets)

    @property
    def tasks(self) -> list[Label]:
        """Names of the tasks learned, in their order."""
        known = self._knowledge
        return _names(known) if known else []

    def classes(self, task: Label | None = None) -> NDArray[Any]:
        """The labels of a task, sorted; or those of all tasks, in the order in which they came."""
        known = self._learned
        return Labels(_columns(known, None if task is None else _index(known, task))).array

    def summary(self) -> str:
        """A table of the tasks, and what is kept for them."""
        return summary(self._learned)

    def export(self, task: Label) -> nn.Module:
        """A plain module with a task's weights and buffers, ready to evaluate, on the CPU.

        It gives the task's logits (batch, outputs), for classes in the order of `classes(task)`; in
        regression, values. It depends on nothing of Hypermnesia but in regression, where its last
        step is `Rescale`.
        """
        with self._undisturbed() as known:
            index = _index(known, task)
            return known.records[index].targets.finish(known.network(index))

    @property
    def _learned(self) -> Knowledge:
        if self._knowledge is None:
            raise ConfigError("a learner must be fitted first", got="no task", hint="call fit")
        return self._knowledge

    @contextmanager
    def _undisturbed(self) -> Iterator[Knowledge]:
        """What is known now, in a surrounding that changes no answer."""
        known = self._learned
        with undisturbed(known.device):
            yield known
