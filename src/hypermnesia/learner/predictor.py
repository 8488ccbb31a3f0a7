"""Predictions of a learner: labels, values, probabilities, tasks, logits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hypermnesia.compute import undisturbed
from hypermnesia.errors import ConfigError, DataError
from hypermnesia.learner.answers import (
    Answers,
    answers,
    answers_of_rows,
    evidence_of,
    inference_of,
    labels_of,
    predictions,
    probabilities,
    score,
    start_of,
    summary,
)
from hypermnesia.learner.inputs import InputSource, read_once, slices, source_of
from hypermnesia.learner.knowledge import Knowledge
from hypermnesia.learner.targets import DENSE, Label, Labels, listed, plain
from hypermnesia.registry import unknown_name


def _names(knowledge: Knowledge) -> list[Label]:
    return [record.name for record in knowledge.records]


def _index(knowledge: Knowledge, task: Label) -> int:
    index = knowledge.index(task)
    if index is None:
        raise unknown_name("task", task, map(str, _names(knowledge)))
    return index


def _source(knowledge: Knowledge, x: Any, y: Any = None) -> InputSource:
    source = source_of(x, y, form=knowledge.design.form)
    if not len(source):
        raise DataError("there must be inputs to answer for", got="none")
    return source


def _asked(knowledge: Knowledge, x: Any, task: Any, together: Any = False) -> Answers:
    source = _source(knowledge, x)
    if _several(task):
        return answers_of_rows(knowledge, slices(source), _rows(knowledge, task, len(source)))
    index = None if task is None else _index(knowledge, task)
    return answers(knowledge, slices(source), index, _groups(together, len(source)))


def _several(task: Any) -> bool:
    """Whether it names a task for each input: tuples are names themselves."""
    return isinstance(task, list) or getattr(task, "ndim", 0) > 0


def _rows(knowledge: Knowledge, given: Any, n: int) -> Tensor:
    """(n,) int64 index of the task of each input."""
    if knowledge.design.problem in DENSE:
        rule, hint = "inputs of several tasks are asked at once for classes or values", "one by one"
        raise ConfigError(rule, got=f"problem={knowledge.design.problem!r}", hint=hint)
    names = [*map(plain, listed(given))]
    if len(names) != n:
        rule = "task must be one name, or a name for each input"
        raise DataError(rule, got=f"{len(names)} for {n} inputs")
    places = {(type(name), name): _index(knowledge, name) for name in dict.fromkeys(names)}
    return torch.tensor([places[type(name), name] for name in names])


def _groups(together: Any, n: int) -> Tensor | None:
    """(n,) int64 number of each input's group; None where each is on its own."""
    if together is False or together is None:
        return None
    given = np.zeros(n) if together is True else np.asarray(together)
    if given.shape != (n,):
        rule, hint = "together must be true, or name each input's group", f"give {n} names"
        raise DataError(rule, got=f"shape {given.shape}", hint=hint)
    return torch.from_numpy(np.unique(given, return_inverse=True)[1]).long()


class InferredTasks(NamedTuple):
    """The tasks that inputs speak for: (n,) names, and p(t | x) of each.

    A name is None where an input was rejected.
    """

    tasks: NDArray[Any]
    confidence: NDArray[np.float32]


class Predictor:
    """Answers from the networks of the tasks learned; asking changes nothing.

    Any number of threads may ask, also while one of them fits. An `autocast` around a call changes
    no answer.
    """

    _knowledge: Knowledge | None = None

    def predict(self, x: Any, task: Any = None, *, together: Any = False) -> NDArray[Any]:
        """The labels, or the values, of inputs.

        Args:
            x: (n, *sample) inputs, or a `Dataset` or `DataLoader` of which the inputs are taken: a
                loader's in the order of one epoch, or that of the data set where it shuffles.
            task: their task; or a list or an array of n names, one for each input. Without it, a
                label is the likeliest under all tasks, each weighed by its share in the evidence;
                values are those of the likeliest task.
            together: True if all inputs come from one task, or (n,) names of groups of which each
                does: then their evidence adds up.

        Returns:
            (n,) labels as they were given to `fit`; in regression (n,) or (n, k) values.

        Raises:
            ConfigError: an unknown task, or none where it is needed.
        """
        with self._undisturbed() as known:
            return predictions(known, _asked(known, x, task, together))

    def predict_proba(
        self, x: Any, task: Any = None, *, together: Any = False
    ) -> NDArray[np.float32]:
        """(n, labels) probabilities, in the order of `classes(task)`; arguments as of `predict`.

        Of inputs of several tasks they are of all labels, 0 for those that a task does not have.

        Without a task p(y | x) = Σ_t p(t | x) p(y | x, t), where all tasks are equally frequent and
        both factors have temperatures under which held-out samples of the fits were likeliest. With
        a task, the softmax of its network's logits, as they are exported. Raises `ConfigError` for
        an unknown task, none where it is needed, or regression.
        """
        with self._undisturbed() as known:
            found = _asked(known, x, task, together)
            index = None if task is None or _several(task) else _index(known, task)
            return probabilities(known, found, index)

    def predict_task(
        self, x: Any, *, reject: float | None = None, together: Any = False
    ) -> InferredTasks:
        """The task of each of n inputs, and its probability; `together` as of `predict`.

        Args:
            x: as of `predict`.
            reject: a share of known inputs, such as 0.05, to give up: None is the task of an input
                for which less speaks, under every task, than for this share of the samples that
                the task's fits held out. It takes 1 / reject of them to reject anything.
            together: as of `predict`; inputs are rejected one by one all the same.

        Raises:
            ConfigError: a learner that infers no tasks, or a share that is none.
        """
        if reject is not None and not 0 <= reject < 1:
            raise ConfigError("reject must be a share, from 0 to below 1", got=reject)
        with self._undisturbed() as known:
            found, names = _asked(known, x, None, together), Labels(_names(known)).array
            tasks = names[found.tasks.numpy()]
            if reject is not None:
                evidence = evidence_of(known, slices(_source(known, x)))
                strange = known.calibration.p_values(evidence).amax(dim=0) < reject
                tasks = np.where(strange.numpy(), None, tasks.astype(object))
            return InferredTasks(tasks, found.confidence.numpy())

    def score_samples(self, x: Any) -> NDArray[np.float32]:
        """(n,) log p(x) of inputs, all tasks equally frequent, in nats; of an entropy: no density.

        It tells known inputs from others. Raises `ConfigError` if the learner infers no tasks.
        """
        with self._undisturbed() as known:
            evidence = evidence_of(known, slices(_source(known, x)))
            return (evidence.logsumexp(dim=0) - math.log(len(evidence))).numpy()

    def score(self, data: Any, y: Any = None, *, task: Any = None) -> float:
        """Share of right labels, or R² of values, as scikit-learn scores them; data as for `fit`.

        The task is given as for `predict`. Samples are read once, each target with its input.
        """
        with self._undisturbed() as known:
            source = _source(known, data, y)
            inputs, targets = read_once(source)
            if _several(task):
                found_of_rows = answers_of_rows(known, inputs, _rows(known, task, len(source)))
                return score(known, predictions(known, found_of_rows), targets)
            index = None if task is None else _index(known, task)
            found = predictions(known, answers(known, inputs, index))
            if index is not None and known.design.problem in DENSE:
                own: Any = known.records[index].targets
                return cast(float, own.score(found, targets))
            return score(known, found, targets)

    @property
    def tasks(self) -> list[Label]:
        """Names of the tasks learned, in their order."""
        known = self._knowledge
        return _names(known) if known else []

    def classes(self, task: Label | None = None) -> NDArray[Any]:
        """The labels of a task, or of all, sorted; those of several kinds by kind."""
        known = self._learned
        return labels_of(known, None if task is None else _index(known, task)).array

    @property
    def inference(self) -> str:
        """How tasks are inferred, why, what is kept for it, and how well it does.

        Of several kinds of evidence: the log loss of each, in nats, summed over the samples that
        the fits held out; then the share of each task's that were recognised.
        """
        return inference_of(self._learned)

    @property
    def start(self) -> str:
        """Where weights start, and why there."""
        return start_of(self._learned)

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
            targets, head = known.records[index].targets, known.settings.head
            return targets.finish(known.network(index), head)

    def _number(self, task: Label) -> int:
        """The index of a task; raises `ConfigError` for an unknown one."""
        return _index(self._learned, task)

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
