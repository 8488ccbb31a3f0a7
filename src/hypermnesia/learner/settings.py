"""What the user of a learner chooses; everything else follows from the model and the data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hypermnesia.errors import ConfigError
from hypermnesia.learner.targets import LOSSES, Problem
from hypermnesia.registry import unknown_name

TaskInference = Literal["likelihood", "entropy"]
"""How the task of an input can be told."""


@dataclass(frozen=True)
class LearnerSettings:
    """Choices of a `ContinualLearner`, which documents them.

    Raises:
        ConfigError: a value that cannot work.
    """

    infer_task: TaskInference | None = "likelihood"
    problem: Problem | None = None
    head: str | None = None
    generated: tuple[str, ...] | None = None
    compression: float | None = None
    beta: float = 0.1
    lr: float = 1e-3
    batch_size: int = 64
    iterations: int = 2000
    patience: int = 400
    validation: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        _check_name("way to infer tasks", self.infer_task, ("likelihood", "entropy"))
        _check_name("problem", self.problem, tuple(LOSSES))
        for name in ("batch_size", "iterations", "patience"):
            if not getattr(self, name) >= 1:
                raise ConfigError(f"{name} must be 1 or more", got=getattr(self, name))
        if not 0 <= self.validation < 1:
            raise ConfigError(
                "validation is the share of a task's samples that is held out, from 0 to below 1",
                got=self.validation,
            )
        for name in ("lr", "compression"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"{name} must be above 0", got=value)
        if not 0 <= self.beta < math.inf:
            raise ConfigError("beta must be 0 or more", got=self.beta)


def _check_name(kind: str, name: str | None, known: Sequence[str]) -> None:
    if name is not None and name not in known:
        raise unknown_name(kind, name, known)
