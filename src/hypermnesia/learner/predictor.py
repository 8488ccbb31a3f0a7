"""What can be asked of a learner."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import nn

from hypermnesia.errors import ConfigError, DataError
from hypermnesia.learner.answers import Answers, all_labels, answers, predictions, probabilities
from hypermnesia.learner.knowledge import Knowledge
from hypermnesia.learner.labels import Labels
from hypermnesia.learner.sources import slices, source_of
from hypermnesia.learner.telling import scored, summary
from hypermnesia.registry import unknown_name


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
