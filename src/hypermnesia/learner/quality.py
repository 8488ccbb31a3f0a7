"""How well a learner answers for rows held out: accuracy matrix, drift, confusion, calibration."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypermnesia.learner.learner import ContinualLearner
from hypermnesia.metrics import reliability_bins
from hypermnesia.training.phases import Measure


@dataclass(frozen=True)
class HeldOut:
    """Rows of a task that were not learned from.

    Attributes:
        x: (n, *sample) inputs.
        y: (n,) targets.
        answers: (n,) just after the task was learned.
    """

    task: str
    x: NDArray[np.float32]
    y: NDArray[Any]
    answers: NDArray[Any]

    def stored(self) -> bytes:
        """The rows as an NPZ file."""
        content = io.BytesIO()
        np.savez(content, x=self.x, y=self.y, answers=self.answers)
        return content.getvalue()


@dataclass(frozen=True)
class Answered:
    """What was measured with the task given, or inferred.

    Attributes:
        matrix: rows of R, i + 1 values in row i: percent, or mean squared errors, on task j after
            task i; None where no row was held out.
        calibration: (15, 3) samples of a confidence, their confidence and right answers summed;
            empty in regression.
    """

    matrix: tuple[tuple[float | None, ...], ...] = ()
    calibration: tuple[tuple[float, float, float], ...] = ()


@dataclass(frozen=True)
class Quality:
    """How well a learner answers, after its last task.

    Attributes:
        inferred: None if it infers no tasks.
        drift: of each task, how far its answers moved since it was learned: the share that changed
            or, in regression, the root mean square of the change over the targets' deviation.
        confusion: (T, T) numbers of rows of task j that were taken for task k.
        distinct: whether no label belongs to two tasks.
    """

    measure: Measure = "accuracy"
    given: Answered = Answered()
    inferred: Answered | None = None
    drift: tuple[float | None, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    distinct: bool = True


def measured(learner: ContinualLearner, rows: Sequence[HeldOut], before: Quality) -> Quality:
    """The quality after one more task, whose rows are the last of (T,) held-out ones."""
    classes = not is_regression(learner, rows[-1].y)
    given = _answered(learner, rows, before.given, inferred=False, classes=classes)
    inferred, confusion = None, tuple[tuple[int, ...], ...]()
    if learner.settings.infer_task is not None:
        earlier = before.inferred or Answered()
        inferred = _answered(learner, rows, earlier, inferred=True, classes=classes)
        confusion = tuple(_taken_for(learner, each) for each in rows)
    drift = tuple(_drift(learner, each, classes=classes) for each in rows)
    labels = [label for each in learner.tasks for label in learner.classes(each)] if classes else []
    measure: Measure = "accuracy" if classes else "mse"
    distinct = len(set(labels)) == len(labels)
    return Quality(measure, given, inferred, drift, confusion, distinct)


def is_regression(learner: ContinualLearner, y: NDArray[Any]) -> bool:
    """Whether a learner learns (n,) targets as values, not as classes."""
    problem = learner.settings.problem
    return problem == "regression" or (problem is None and y.dtype.kind == "f")


def _answered(
    learner: ContinualLearner,
    rows: Sequence[HeldOut],
    before: Answered,
    *,
    inferred: bool,
    classes: bool,
) -> Answered:
    """What was measured until now, with one more row of R."""
    scores = [score(learner, r.x, r.y, None if inferred else r.task, classes) for r in rows]
    bins = [_calibration(learner, r, None if inferred else r.task) for r in rows if classes]
    calibration = tuple((a, b, c) for a, b, c in np.sum(bins, axis=0).tolist()) if bins else ()
    return Answered((*before.matrix, tuple(scores)), calibration)


def score(
    learner: ContinualLearner, x: Any, y: NDArray[Any], task: str | None, classes: bool
) -> float | None:
    """Percent of right labels, or mean squared error, of (n,) targets; None without any."""
    if not len(y):
        return None
    answers = learner.predict(x, task=task)
    if classes:
        return 100.0 * float(np.mean(_same(answers, y)))
    return float(np.mean(np.square(answers - y)))


def _same(answers: NDArray[Any], y: NDArray[Any]) -> NDArray[np.bool_]:
    """(n,) whether each answer is the target, where labels may be of several kinds."""
    return np.array([a == b for a, b in zip(answers.tolist(), y.tolist(), strict=True)], bool)


def _calibration(learner: ContinualLearner, rows: HeldOut, task: str | None) -> NDArray[np.float64]:
    if not len(rows.y):
        return reliability_bins(np.zeros(0), np.zeros(0))
    confidence = learner.predict_proba(rows.x, task=task).max(axis=1).astype(np.float64)
    right = _same(learner.predict(rows.x, task=task), rows.y)
    return reliability_bins(confidence, right.astype(np.float64))


def _taken_for(learner: ContinualLearner, rows: HeldOut) -> tuple[int, ...]:
    """How many rows were taken for each of the tasks."""
    if not len(rows.y):
        return tuple(0 for _ in learner.tasks)
    found = learner.predict_task(rows.x).tasks
    return tuple(int(np.sum(found == task)) for task in learner.tasks)


def _drift(learner: ContinualLearner, rows: HeldOut, *, classes: bool) -> float | None:
    if not len(rows.y):
        return None
    answers = learner.predict(rows.x, task=rows.task)
    if classes:
        return 1.0 - float(np.mean(_same(answers, rows.answers)))
    change = float(np.sqrt(np.mean(np.square(answers - rows.answers))))
    return change / (float(rows.y.std()) or 1.0)
