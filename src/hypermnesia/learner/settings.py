"""The choices of a `ContinualLearner`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from hypermnesia.errors import ConfigError
from hypermnesia.evidence import EVIDENCE, is_density
from hypermnesia.learner.targets import LOSSES, Problem
from hypermnesia.registry import unknown_name
from hypermnesia.regularization.drift import DRIFT

_DRAWS = ("agreement", "mutual-information")  # which ask several networks of a task

TaskInference = str
"""How the task of an input can be inferred: a name in `EVIDENCE`, or `auto`, which chooses one."""


@dataclass(frozen=True)
class LearnerSettings:
    """Choices of a `ContinualLearner`, which documents them; raises `ConfigError` for bad ones."""

    infer_task: TaskInference | None = "auto"
    method: str = "hnet"
    problem: Problem | None = None
    head: str | None = None
    generated: tuple[str, ...] | None = None
    compression: float | None = None
    beta: float | Literal["auto"] = "auto"
    drift: float = DRIFT
    lr: float = 1e-3
    batch_size: int = 64
    iterations: int = 2000
    patience: int = 400
    validation: float = 0.1
    seed: int = 0
    own: tuple[str, ...] = ()  # functions of the user's, by name, which are not saved
    features: str | None = None
    ensemble: int = 1
    start: Literal["auto", "scratch", "pretrained"] = "auto"

    def __post_init__(self) -> None:
        own = is_density(self.infer_task)
        if not own and self.infer_task not in (None, "auto") and self.infer_task not in EVIDENCE:
            raise unknown_name("way to infer tasks", self.infer_task, ["auto", *EVIDENCE])
        if self.problem not in (None, *LOSSES):
            raise unknown_name("problem", self.problem, tuple(LOSSES))
        if self.start not in (starts := ("auto", "scratch", "pretrained")):
            raise unknown_name("start", self.start, starts)
        for name in ("batch_size", "iterations", "patience", "seed", "ensemble"):
            if type(value := getattr(self, name)) is not int:
                rule, hint = f"{name} must be a whole number", "give an int"
                raise ConfigError(rule, got=repr(value), hint=hint)
        for name in ("beta", "drift", "lr", "validation", "compression"):
            value = getattr(self, name)
            if value is None or isinstance(value, int | float) or (name, value) == ("beta", "auto"):
                continue
            kind = "a number, or auto" if name == "beta" else "a number"
            raise ConfigError(f"{name} must be {kind}", got=repr(value))
        for name in ("batch_size", "iterations", "patience", "ensemble"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be 1 or more", got=getattr(self, name))
        one, way = self.ensemble == 1, self.infer_task
        held, size, beta = self.validation, self.compression, cast(Any, self.beta)
        drift, usual = self.drift, self.drift == DRIFT
        share = "validation is the share of a task's samples"
        for rule, value, valid in (
            (f"{share} that is held out, from 0 to below 1", held, 0 <= held < 1),
            ("lr must be above 0", self.lr, 0 < self.lr < math.inf),
            ("compression must be above 0", size, size is None or 0 < size < math.inf),
            ("beta must be 0 or more, or auto", beta, beta == "auto" or 0 <= beta < math.inf),
            ("drift is a bound that beta='auto' holds", drift, beta == "auto" or usual),
            ("drift must be above 0, at most 1", drift, 0 < drift <= 1),
            ("an ensemble needs method='hnet'", self.method, one or self.method == "hnet"),
            (f"ensemble must be 2 or more to tell tasks by {way}", 1, not one or way not in _DRAWS),
        ):
            if not valid:
                raise ConfigError(rule, got=value)


def patterns(given: Sequence[str] | None) -> tuple[str, ...] | None:
    """Patterns of names, as they are kept; raises `ConfigError` for a single string."""
    if isinstance(given, str):  # whose letters would each be taken for a pattern
        rule, hint = "generated must be a list of patterns", f"give [{given!r}]"
        raise ConfigError(rule, got=repr(given), hint=hint)
    return None if given is None else tuple(given)
