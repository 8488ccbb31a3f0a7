"""How well a method answers the samples of one task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from hypermnesia.data.scenarios import Scenario, ScenarioName
from hypermnesia.data.stream import each_once
from hypermnesia.data.types import Batch, Part
from hypermnesia.methods.base import Method, Prediction, predictions


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


def evaluate(
    method: Method, part: Part, scenario: ScenarioName, batch_size: int = 1000
) -> Evaluation:
    """Accuracy of `method` on all samples of `part` in one scenario; see `evaluate_in`."""
    return evaluate_in(method, part, (scenario,), batch_size)[scenario]


@torch.no_grad()
def evaluate_in(
    method: Method, part: Part, scenarios: Sequence[ScenarioName], batch_size: int = 1000
) -> dict[ScenarioName, Evaluation]:
    """Accuracy of `method` on all samples of `part`; the task is given in the task scenario only.

    Counts stay on the samples' device, so that the host waits for it only at the end.

    Args:
        method: has begun the task `part.task`; it is not changed.
        part: samples of one task, one or more of them.
        scenarios: some of those that the method answers in.
        batch_size: samples a call of the method.
    """
    counts = {name: _Counts(method.scenario.named(name), part) for name in scenarios}
    for batch in each_once([part], batch_size):
        for name, found in predictions(method, batch.x, part.task, scenarios).items():
            counts[name].add(batch, found)
    return {name: counted.evaluation() for name, counted in counts.items()}


class _Counts:
    """Right answers, and inferred tasks, among the samples of a part."""

    def __init__(self, layout: Scenario, part: Part) -> None:
        device = part.y.device
        self.layout, self.part = layout, part
        self.tasks = torch.arange(len(layout.heads), device=device)
        self.right = torch.zeros((), dtype=torch.int64, device=device)
        self.inferred = torch.zeros(len(layout.heads), dtype=torch.int64, device=device)

    def add(self, batch: Batch, prediction: Prediction) -> None:
        # Scores begin at the first candidate.
        first: int = self.layout.candidates(self.part.task).start
        answers = self.layout.labels(batch.y, batch.task) - first
        self.right += (prediction.scores.argmax(dim=-1) == answers).sum()
        if self.layout.name != "task" and prediction.tasks is not None:
            self.inferred += (prediction.tasks[:, None] == self.tasks).sum(dim=0)

    def evaluation(self) -> Evaluation:
        accuracy = 100.0 * int(self.right) / len(self.part)
        counts = tuple(self.inferred.tolist())
        if not any(counts):
            return Evaluation(accuracy, None)
        return Evaluation(accuracy, 100.0 * counts[self.part.task] / len(self.part), counts)
