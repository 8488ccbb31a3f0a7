"""The protocol of a continual-learning method, and the values that pass through it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from hypermnesia.data.scenarios import Scenario
from hypermnesia.data.types import Batch
from hypermnesia.errors import ConfigError

Loss = Callable[[Tensor, Tensor], Tensor]
"""(scores, targets) -> scalar loss."""

State = dict[str, Any]
"""Nested dicts and lists of tensors and plain values: what a checkpoint can hold."""


@dataclass(frozen=True)
class TaskSpec:
    """What a method is told of a task when it arrives.

    Attributes:
        outputs: number of classes (or of regression targets), the width of the task's head.
        iterations: how many `update` calls will follow, for schedules.
    """

    outputs: int
    iterations: int


@dataclass(frozen=True)
class Prediction:
    """Answers for a batch of inputs.

    Attributes:
        scores: (batch, k) over the scenario's candidate columns: the task's own classes
            (`task`), the shared classes (`domain`) or all classes seen (`class`). The largest
            is the answer; -inf where the inferred task has no such class.
        tasks: (batch,) int64 task that each sample was answered with, given or inferred; None
            for a network that knows no tasks.
    """

    scores: Tensor
    tasks: Tensor | None


@runtime_checkable
class Method(Protocol):
    """A way to learn tasks one after another.

    The loop calls `begin_task`, `update` once an iteration and `end_task`, for each task in
    turn. A method owns its networks, optimisers and the order of its steps, never looks at the
    clock, the disk or the test data, and draws random numbers only from its own generators.

    Attributes:
        scenario: the scenario with the heads of all tasks begun so far.
        trains_on: `task` if an iteration sees the current task's data, `all` if the method is
            given the data of all tasks at once (an upper bound).
    """

    scenario: Scenario
    trains_on: Literal["task", "all"]

    def begin_task(self, spec: TaskSpec) -> None:
        """Make room for one more task; optimisers start afresh."""

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """One iteration; returns detached scalars, among them `loss` and `accuracy`."""

    def end_task(self) -> None:
        """Keep what the next tasks must not change."""

    def predict(self, x: Tensor, task: int | None = None) -> Prediction:
        """Answer (batch, *sample) inputs, with the task's index or without; changes nothing."""

    def compression(self) -> float:
        """Number of learned values kept for all tasks over the weights of one target network."""

    def state_dict(self) -> State:
        """Everything that a later `update` or `predict` depends on, at any iteration."""

    def load_state_dict(self, state: State) -> None:
        """Put a newly built method where `state_dict` found the other."""


def task_needed(method: str) -> ConfigError:
    """The error of a `method` that was asked to predict without the task."""
    return ConfigError(
        f"{method} must be told the task",
        got="none",
        cure="give it, or use a method that infers it",
    )


def accuracy(scores: Tensor, labels: Tensor) -> Tensor:
    """Share of rows of (batch, k) `scores` whose largest entry is at (batch,) `labels`."""
    return (scores.argmax(dim=-1) == labels).to(torch.float32).mean()
