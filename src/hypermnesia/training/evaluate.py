"""How well a method answers the samples of one task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.data.stream import each_once
from hypermnesia.data.types import Part
from hypermnesia.methods.base import Method


@dataclass(frozen=True)
class Evaluation:
    """Figures of one task.

    Attributes:
        accuracy: percent of samples answered rightly.
        inference: percent of samples answered with their own task, where the method had to
            infer it; None where the task was given or the method knows no tasks.
        inferred: number of samples answered with each task begun so far; empty where
            `inference` is None.
    """

    accuracy: float
    inference: float | None
    inferred: tuple[int, ...] = ()


Rows = Mapping[ScenarioName, Sequence[Evaluation]]
"""scenario -> evaluations of all tasks seen, in order."""


@torch.no_grad()
def evaluate(
    method: Method, part: Part, scenario: ScenarioName, batch_size: int = 1000
) -> Evaluation:
    """Accuracy of `method` on all samples of `part`; the task is given in the task scenario only.

    Counts stay on the samples' device, so that the host waits for it only at the end.

    Args:
        method: has begun the task `part.task`; it is not changed.
        part: samples of one task, one or more of them.
        scenario: one of those that the method answers in.
        batch_size: samples a call of `predict`.
    """
    layout = method.scenario.named(scenario)
    given = part.task if scenario == "task" else None
    tasks = torch.arange(len(layout.heads), device=part.y.device)
    first: int = layout.candidates(part.task).start
    right = torch.zeros((), dtype=torch.int64, device=part.y.device)
    inferred = torch.zeros(len(layout.heads), dtype=torch.int64, device=part.y.device)
    for batch in each_once([part], batch_size):
        prediction = method.predict(batch.x, given, scenario)
        # Scores begin at the first candidate.
        answers = layout.labels(batch.y, batch.task) - first
        right += (prediction.scores.argmax(dim=-1) == answers).sum()
        if given is None and prediction.tasks is not None:
            inferred += (prediction.tasks[:, None] == tasks).sum(dim=0)
    accuracy = 100.0 * int(right) / len(part)
    counts = tuple(inferred.tolist())
    if not any(counts):
        return Evaluation(accuracy, None)
    return Evaluation(accuracy, 100.0 * counts[part.task] / len(part), counts)
