"""How well a method answers the samples of one task."""

from __future__ import annotations

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
    """

    accuracy: float
    inference: float | None


@torch.no_grad()
def evaluate(
    method: Method, part: Part, scenario: ScenarioName, batch_size: int = 1000
) -> Evaluation:
    """Accuracy of `method` on all samples of `part`; the task is given in the task scenario only.

    Counts stay on the samples' device, so that the host waits for it once, at the end.

    Args:
        method: has begun the task `part.task`; it is not changed.
        part: samples of one task, one or more of them.
        scenario: one of those that the method answers in.
        batch_size: samples a call of `predict`.
    """
    layout = method.scenario.named(scenario)
    given = part.task if scenario == "task" else None
    first: int = layout.candidates(part.task).start
    counts = torch.zeros(2, dtype=torch.int64, device=part.y.device)
    infers = False
    for batch in each_once([part], batch_size):
        prediction = method.predict(batch.x, given, scenario)
        # Scores begin at the first candidate.
        answers = layout.labels(batch.y, batch.task) - first
        counts[0] += (prediction.scores.argmax(dim=-1) == answers).sum()
        if given is None and prediction.tasks is not None:
            infers = True
            counts[1] += (prediction.tasks == batch.task).sum()
    right, inferred = (100.0 * count / len(part) for count in counts.tolist())
    return Evaluation(right, inferred if infers else None)
