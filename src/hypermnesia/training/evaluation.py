"""How well a method answers the samples of a task, and what a run has measured so far."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
from hypermnesia.training.observers import Observer
from hypermnesia.training.phases import Evaluation, Measure, Phase, Rows


def evaluate(
    method: Method, part: Part, scenario: ScenarioName, batch_size: int = 1000
) -> Evaluation:
    """Accuracy of `method` on all samples of `part` in one scenario; see `evaluate_in`."""
    return evaluate_in(method, part, (scenario,), batch_size)[scenario]


@torch.no_grad()
def evaluate_in(
    method: Method, part: Part, scenarios: Sequence[ScenarioName], batch_size: int = 1000
) -> dict[ScenarioName, Evaluation]:
    """Evaluate `method` on all samples of `part`; the task is given in the task scenario only.

    The method has begun the task, and answers in the scenarios; it is not changed.
    """
    counts = {name: _Counts(method.scenario.named(name), part) for name in scenarios}
    for batch in each_once([part], batch_size):
        for name, found in predictions(method, batch.x, part.task, scenarios).items():
            counts[name].add(batch, found)
    return {name: counted.evaluation() for name, counted in counts.items()}


def gain_before(method: Method, part: Part, batch_size: int = 1000) -> dict[ScenarioName, float]:
    """What a task that has begun gains from those before, see `metrics.fwt`; by scenario, or {}.

    It is measured where the task is given, or else where labels are those of all tasks, of methods
    with `answers_untrained`; of classes alone.
    """
    names = [name for name in ("task", "domain") if name in method.answers]
    if not names or not getattr(method, "answers_untrained", False) or measure_of(part) == "mse":
        return {}
    found = evaluate(method, part, names[0], batch_size)
    return {names[0]: found.accuracy - 100.0 / method.scenario.heads[part.task]}


class _Counts:
    """Right answers, and inferred tasks, among the samples of a part, counted on their device."""

    def __init__(self, layout: Scenario, part: Part) -> None:
        device = part.y.device
        self.layout, self.part = layout, part
        self.tasks = torch.arange(len(layout.heads), device=device)
        self.right = torch.zeros((), dtype=torch.int64, device=device)
        self.error = torch.zeros((), dtype=torch.float64, device=device)
        self.inferred = torch.zeros(len(layout.heads), dtype=torch.int64, device=device)

    def add(self, batch: Batch, prediction: Prediction) -> None:
        if batch.y.is_floating_point():
            self.error += (prediction.logits - batch.y).square().sum(dtype=torch.float64)
        else:  # logits begin at the first candidate
            first = self.layout.candidates(self.part.task).start
            answers = self.layout.labels(batch.y, batch.task) - first
            self.right += (prediction.logits.argmax(dim=-1) == answers).sum()
        if self.layout.name != "task" and prediction.tasks is not None:
            self.inferred += (prediction.tasks[:, None] == self.tasks).sum(dim=0)

    def evaluation(self) -> Evaluation:
        counts, measure = tuple(self.inferred.tolist()), measure_of(self.part)
        right, errors = 100.0 * int(self.right) / len(self.part), float(self.error)
        value = right if measure == "accuracy" else errors / self.part.y.numel()
        if not any(counts):
            return Evaluation(value, None, measure=measure)
        return Evaluation(value, 100.0 * counts[self.part.task] / len(self.part), counts, measure)


def measure_of(part: Part) -> Measure:
    """What is evaluated on `part`."""
    return "mse" if part.y.is_floating_point() else "accuracy"


@dataclass(frozen=True)
class TrainResult:
    """What a run measured. Seconds are wall time and leave out the time between processes.

    Attributes:
        accuracy: by scenario R, (T, T) percent, or mean squared errors; NaN where not evaluated.
        inference: (T, T) percent of samples whose task was inferred rightly, NaN where not
            evaluated; for the scenarios in which the method had to infer it.
        confusion: for these (T, T): [j, k] samples of task j were answered with task k at the end.
        seconds: everything, evaluation and checkpoints too. Work that a crash undid is not in.
        seconds_per_iteration: of training, for each phase, without evaluation and checkpoints.
        peak_memory_mb: largest resident memory of any of the processes, see `compute`.
        memory_mb: for each phase, that at the end of its training; empty where it is not known.
        compression: learned values kept for all tasks over weights of one target network.
        measure: what `accuracy` holds.
        kept: numbers kept for all tasks; None in results of earlier versions.
        kept_bytes: bytes that these take.
        gains: by scenario (T,) points, of each task before its first update (`metrics.fwt`); NaN
            where not measured.
    """

    accuracy: Mapping[ScenarioName, Matrix]
    inference: Mapping[ScenarioName, Matrix]
    confusion: Mapping[ScenarioName, Counts]
    seconds: float
    seconds_per_iteration: tuple[float, ...]
    peak_memory_mb: float
    compression: float
    measure: Measure = "accuracy"
    kept: float | None = None
    kept_bytes: float | None = None
    gains: Mapping[ScenarioName, NDArray[np.float64]] = field(default_factory=dict)
    memory_mb: tuple[float, ...] = ()


_MATRICES = {"accuracy": np.nan, "inference": np.nan, "confusion": 0}  # where not evaluated


def _known(matrix: NDArray[Any], empty: float) -> State:
    """The entries that are not `empty`: of a thousand tasks, most are."""
    at = np.flatnonzero(~np.isnan(matrix) if np.isnan(empty) else matrix != empty)
    return {"at": torch.from_numpy(at), "values": torch.from_numpy(matrix.flat[at])}


class Progress(Observer):
    """Position, measurements and clocks of a run.

    `phase` is the one at work, of which `iteration` updates are done, and `done` in all phases;
    `training` times this phase, evaluation and checkpoints apart.
    """

    def __init__(self, tasks: int, scenarios: Sequence[ScenarioName], device: torch.device) -> None:
        self.phase, self.iteration, self.done = 0, 0, 0
        self.training = Stopwatch(device)
        self._device = device
        self._matrices: dict[str, dict[ScenarioName, NDArray[Any]]] = {
            kind: {name: np.full((tasks, tasks), empty) for name in scenarios}
            for kind, empty in _MATRICES.items()
        }
        self._gains: dict[ScenarioName, list[float]] = {}
        self._total, self._peak_mb = Stopwatch(device), 0.0
        self._total.start()
        self._seconds_per_iteration: list[float] = []
        self._memory_mb: list[float] = []

    def on_update(self, phase: Phase, iteration: int, metrics: object) -> None:  # noqa: ARG002
        """Count the update."""
        self.iteration, self.done = iteration, phase.before + iteration

    def on_updates_end(self, phase: Phase) -> None:  # noqa: ARG002
        """Stop the clock of training, and note the memory that it took."""
        self.training.stop()
        self._memory_mb.append(self._peak())

    def gain(self, task: int, gains: Mapping[ScenarioName, float]) -> None:
        """Enter what a task gains from those before it."""
        for name, gain in gains.items():
            tasks = len(self._matrices["accuracy"][name])
            self._gains.setdefault(name, [math.nan] * tasks)[task] = gain

    def close(self, phase: Phase, rows: Rows) -> None:
        """Enter the evaluations after a phase and move on to the next one."""
        for name, row in rows.items():
            accuracy, inference, confusion = (self._matrices[kind][name] for kind in _MATRICES)
            for column, evaluation in enumerate(row):
                accuracy[phase.row, column] = evaluation.accuracy
                if evaluation.inference is not None:
                    inference[phase.row, column] = evaluation.inference
                    confusion[column, : len(row)] = evaluation.inferred
        self._seconds_per_iteration.append(self.training.seconds / phase.iterations)
        self.training = Stopwatch(self._device)
        self.phase, self.iteration = phase.index + 1, 0

    def result(self, compression: float, measure: Measure = "accuracy") -> TrainResult:
        """The figures so far; at the end, those of the run."""
        accuracy, inference, confusion = copy.deepcopy(list(self._matrices.values()))
        inferred = [name for name, shares in inference.items() if not np.isnan(shares).all()]
        return TrainResult(
            accuracy=accuracy,
            inference={name: inference[name] for name in inferred},
            confusion={name: confusion[name] for name in inferred},
            seconds=self._total.seconds,
            seconds_per_iteration=tuple(self._seconds_per_iteration),
            peak_memory_mb=self._peak(),
            compression=compression,
            measure=measure,
            gains={name: np.array(gains) for name, gains in self._gains.items()},
            memory_mb=tuple(self._memory_mb),
        )

    def state_dict(self) -> State:
        """Everything above, for a checkpoint."""
        return {
            **{name: getattr(self, name) for name in ("phase", "iteration", "done")},
            "training_seconds": self.training.seconds,
            **{
                kind: {name: _known(matrix, _MATRICES[kind]) for name, matrix in each.items()}
                for kind, each in self._matrices.items()
            },
            "gains": {name: list(gains) for name, gains in self._gains.items()},
            "total_seconds": self._total.seconds,
            "seconds_per_iteration": list(self._seconds_per_iteration),
            "peak_memory_mb": self._peak(),
            "memory_mb": list(self._memory_mb),
        }

    def load_state_dict(self, state: State) -> None:
        """Go on from there; clocks continue from what they had counted."""
        self.phase, self.iteration, self.done = state["phase"], state["iteration"], state["done"]
        self.training = Stopwatch(self._device, state["training_seconds"])
        for kind in _MATRICES:
            for name, known in state[kind].items():
                matrix = self._matrices[kind][scenario_name(name)]
                matrix.fill(_MATRICES[kind])
                matrix.flat[known["at"].numpy()] = known["values"].numpy()
        self._gains = {scenario_name(name): list(each) for name, each in state["gains"].items()}
        self._total = Stopwatch(self._device, state["total_seconds"])
        self._total.start()
        self._seconds_per_iteration = list(state["seconds_per_iteration"])
        self._peak_mb, self._memory_mb = state["peak_memory_mb"], list(state["memory_mb"])

    def _peak(self) -> float:
        self._peak_mb = max(self._peak_mb, peak_memory_mb(self._device))
        return self._peak_mb
