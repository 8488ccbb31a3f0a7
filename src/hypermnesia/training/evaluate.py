"""How well a method answers the samples of a task, and what a run has measured so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hypermnesia.compute import Stopwatch, peak_memory_mb
from hypermnesia.data.scenarios import Scenario, ScenarioName, scenario_name
from hypermnesia.data.stream import each_once
from hypermnesia.data.types import Batch, Part
from hypermnesia.methods.base import Method, Prediction, predictions
from hypermnesia.metrics import Counts, Matrix
from hypermnesia.state_files import State
from hypermnesia.training.phases import Phase


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
        # Logits begin at the first candidate.
        first: int = self.layout.candidates(self.part.task).start
        answers = self.layout.labels(batch.y, batch.task) - first
        self.right += (prediction.logits.argmax(dim=-1) == answers).sum()
        if self.layout.name != "task" and prediction.tasks is not None:
            self.inferred += (prediction.tasks[:, None] == self.tasks).sum(dim=0)

    def evaluation(self) -> Evaluation:
        accuracy = 100.0 * int(self.right) / len(self.part)
        counts = tuple(self.inferred.tolist())
        if not any(counts):
            return Evaluation(accuracy, None)
        return Evaluation(accuracy, 100.0 * counts[self.part.task] / len(self.part), counts)


@dataclass(frozen=True)
class TrainResult:
    """What a run measured. Seconds are wall time and leave out the time between processes.

    Attributes:
        accuracy: by scenario R, (T, T) percent; NaN where not evaluated.
        inference: (T, T) percent of samples whose task was inferred rightly, NaN where not
            evaluated; for the scenarios in which the method had to infer it.
        confusion: for the same scenarios (T, T): [j, k] is how many samples of task j were
            answered with task k at the end.
        seconds: everything, evaluation and checkpoints too. Work that a crash undid is not in.
        seconds_per_iteration: of training an update, for each phase: drawing its batch and telling
            observers are in, evaluation and checkpoints are not.
        peak_memory_mb: largest resident memory of any of the processes, see `resources`.
        compression: learned values kept for all tasks over weights of one target network.
    """

    accuracy: Mapping[ScenarioName, Matrix]
    inference: Mapping[ScenarioName, Matrix]
    confusion: Mapping[ScenarioName, Counts]
    seconds: float
    seconds_per_iteration: tuple[float, ...]
    peak_memory_mb: float
    compression: float


class Progress:
    """Position, measurements and clocks of a run.

    Attributes:
        phase: the phase at work; the number of phases once all are done.
        iteration: updates done in it; 0 if it has not begun.
        done: updates done in all phases.
        training: seconds of training in this phase, evaluation and checkpoints apart.
    """

    def __init__(self, tasks: int, scenarios: Sequence[ScenarioName], device: torch.device) -> None:
        self.phase, self.iteration, self.done = 0, 0, 0
        self.training = Stopwatch(device)
        self._device = device
        shape = tasks, tasks
        self._accuracy = {name: np.full(shape, np.nan) for name in scenarios}
        self._inference = {name: np.full(shape, np.nan) for name in scenarios}
        self._confusion = {name: np.zeros(shape, dtype=np.int64) for name in scenarios}
        self._total = Stopwatch(device)
        self._total.start()
        self._seconds_per_iteration: list[float] = []
        self._peak_mb = 0.0

    def count_update(self) -> None:
        """One more update is done."""
        self.iteration, self.done = self.iteration + 1, self.done + 1

    def close(self, phase: Phase, rows: Rows) -> None:
        """Enter the evaluations after a phase and move on to the next one."""
        for name, row in rows.items():
            for column, evaluation in enumerate(row):
                self._accuracy[name][phase.row, column] = evaluation.accuracy
                if evaluation.inference is not None:
                    self._inference[name][phase.row, column] = evaluation.inference
                    self._confusion[name][column, : len(row)] = evaluation.inferred
        self._seconds_per_iteration.append(self.training.seconds / phase.iterations)
        self.training = Stopwatch(self._device)
        self.phase, self.iteration = phase.index + 1, 0

    def result(self, compression: float) -> TrainResult:
        """The figures so far; at the end, those of the run."""
        inferred = [name for name, r in self._inference.items() if not np.isnan(r).all()]
        return TrainResult(
            accuracy={name: r.copy() for name, r in self._accuracy.items()},
            inference={name: self._inference[name].copy() for name in inferred},
            confusion={name: self._confusion[name].copy() for name in inferred},
            seconds=self._total.seconds,
            seconds_per_iteration=tuple(self._seconds_per_iteration),
            peak_memory_mb=self._peak(),
            compression=compression,
        )

    def state_dict(self) -> State:
        """Everything above, for a checkpoint."""
        return {
            "phase": self.phase,
            "iteration": self.iteration,
            "done": self.done,
            "training_seconds": self.training.seconds,
            "accuracy": _tensors(self._accuracy),
            "inference": _tensors(self._inference),
            "confusion": _tensors(self._confusion),
            "total_seconds": self._total.seconds,
            "seconds_per_iteration": list(self._seconds_per_iteration),
            "peak_memory_mb": self._peak(),
        }

    def load_state_dict(self, state: State) -> None:
        """Go on from there; clocks continue from what they had counted."""
        self.phase, self.iteration = state["phase"], state["iteration"]
        self.done = state["done"]
        self.training = Stopwatch(self._device, state["training_seconds"])
        self._accuracy = _arrays(state["accuracy"])
        self._inference = _arrays(state["inference"])
        self._confusion = _arrays(state["confusion"])
        self._total = Stopwatch(self._device, state["total_seconds"])
        self._total.start()
        self._seconds_per_iteration = list(state["seconds_per_iteration"])
        self._peak_mb = state["peak_memory_mb"]

    def _peak(self) -> float:
        self._peak_mb = max(self._peak_mb, peak_memory_mb(self._device))
        return self._peak_mb


def _tensors(arrays: Mapping[ScenarioName, NDArray[Any]]) -> State:
    return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}


def _arrays(tensors: State) -> dict[ScenarioName, NDArray[Any]]:
    return {scenario_name(name): tensor.numpy().copy() for name, tensor in tensors.items()}
