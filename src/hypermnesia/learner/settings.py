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
        self._check_types()
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

    def _check_types(self) -> None:
        for name in ("batch_size", "iterations", "patience", "seed"):
            if type(getattr(self, name)) is not int:
                got = repr(getattr(self, name))
                raise ConfigError(f"{name} must be a whole number", got=got, cure="give an int")
        for name in ("beta", "lr", "validation", "compression"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, int | float):
                raise ConfigError(f"{name} must be a number", got=repr(value))


def patterns(given: Sequence[str] | None) -> tuple[str, ...] | None:
    """Patterns of names, as they are kept.

    Raises:
        ConfigError: one string, whose letters would each be taken for a pattern.
    """
    if isinstance(given, str):
        raise ConfigError(
            "generated must be a list of patterns", got=repr(given), cure=f"give [{given!r}]"
        )
    return None if given is None else tuple(given)


def _check_name(kind: str, name: str | None, known: Sequence[str]) -> None:
    if name is not None and name not in known:
        raise unknown_name(kind, name, known)
