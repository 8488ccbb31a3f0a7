"""How far a run has come and what it has measured: the loop's own part of a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from hypermnesia.methods.base import State
from hypermnesia.metrics import Matrix
from hypermnesia.training.evaluate import Evaluation
from hypermnesia.training.phases import Phase
from hypermnesia.training.resources import Stopwatch, peak_memory_mb


@dataclass(frozen=True)
class TrainResult:
    """What a run measured. Seconds are wall time and leave out the time between processes.

    Attributes:
        accuracy: R, (T, T) percent; NaN where not evaluated.
        inference: (T, T) percent of samples whose task was inferred rightly, NaN where not
            evaluated; None if the method never had to infer one.
        seconds: everything, evaluation and checkpoints too. Work that a crash undid is not in.
        seconds_per_iteration: of training an update, for each phase: drawing its batch and telling
            observers are in, evaluation and checkpoints are not.
        peak_memory_mb: largest resident memory of any of the processes, see `resources`.
        compression: learned values kept for all tasks over weights of one target network.
    """

    accuracy: Matrix
    inference: Matrix | None
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

    def __init__(self, tasks: int, device: torch.device) -> None:
        self.phase, self.iteration, self.done = 0, 0, 0
        self.training = Stopwatch(device)
        self._device = device
        self._accuracy = np.full((tasks, tasks), np.nan)
        self._inference = np.full((tasks, tasks), np.nan)
        self._total = Stopwatch(device)
        self._total.start()
        self._seconds_per_iteration: list[float] = []
        self._peak_mb = 0.0

    def count_update(self) -> None:
        """One more update is done."""
        self.iteration, self.done = self.iteration + 1, self.done + 1

    def close(self, phase: Phase, row: Sequence[Evaluation]) -> None:
        """Enter the evaluations after a phase and move on to the next one."""
        for column, evaluation in enumerate(row):
            self._accuracy[phase.row, column] = evaluation.accuracy
            if evaluation.inference is not None:
                self._inference[phase.row, column] = evaluation.inference
        self._seconds_per_iteration.append(self.training.seconds / phase.iterations)
        self.training = Stopwatch(self._device)
        self.phase, self.iteration = phase.index + 1, 0

    def result(self, compression: float) -> TrainResult:
        """The figures so far; at the end, those of the run."""
        return TrainResult(
            accuracy=self._accuracy.copy(),
            inference=None if np.isnan(self._inference).all() else self._inference.copy(),
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
            "accuracy": torch.from_numpy(self._accuracy.copy()),
            "inference": torch.from_numpy(self._inference.copy()),
            "total_seconds": self._total.seconds,
            "seconds_per_iteration": list(self._seconds_per_iteration),
            "peak_memory_mb": self._peak(),
        }

    def load_state_dict(self, state: State) -> None:
        """Go on from there; clocks continue from what they had counted."""
        self.phase, self.iteration = state["phase"], state["iteration"]
        self.done = state["done"]
        self.training = Stopwatch(self._device, state["training_seconds"])
        self._accuracy = state["accuracy"].numpy().copy()
        self._inference = state["inference"].numpy().copy()
        self._total = Stopwatch(self._device, state["total_seconds"])
        self._total.start()
        self._seconds_per_iteration = list(state["seconds_per_iteration"])
        self._peak_mb = state["peak_memory_mb"]

    def _peak(self) -> float:
        self._peak_mb = max(self._peak_mb, peak_memory_mb(self._device))
        return self._peak_mb
