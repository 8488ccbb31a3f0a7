"""What the first fit settles: what `infer_task="auto"` stands for, and what targets are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from torch import Tensor

from hypermnesia.errors import ConfigError
from hypermnesia.evidence import is_density
from hypermnesia.learner.design import LearnerSettings
from hypermnesia.learner.targets import (
    DENSE,
    Classes,
    Labels,
    Problem,
    Targets,
    Values,
    from_json,
)
from hypermnesia.tree import Tree


def chosen(
    settings: LearnerSettings, problem: Problem, inputs: Iterable[Tree]
) -> tuple[LearnerSettings, str]:
    """The settings with an evidence in the place of `auto`, and why this one.

    Gaussians cost nothing in training, and told tasks apart better than autoencoders wherever both
    were tried (benchmarks/learner/inference.py), so real numbers have them.
    """
    if problem in DENSE:
        return _named_tasks(settings, problem), ""
    if is_density(settings.infer_task) or settings.infer_task != "auto":
        return settings, ""
    if settings.method != "hnet":
        return replace(settings, infer_task="gaussian"), ""
    obstacle = "" if settings.features else _obstacle(inputs)
    if not obstacle:
        return replace(settings, infer_task="gaussian"), "inputs are real numbers of one shape"
    if problem == "classification":
        return replace(settings, infer_task="entropy"), f"{obstacle}, which have no density"
    told = f"{obstacle}, and values no entropy: tasks must be named"
    return replace(settings, infer_task=None), told


def _obstacle(inputs: Iterable[Tree]) -> str:
    """What keeps (batch, *sample) inputs from having densities; empty if nothing does."""
    shapes = set()
    for x in inputs:
        if not isinstance(x, Tensor):
            return "inputs are several tensors"
        if not x.is_floating_point():
            return "inputs are ids"
        shapes.add(tuple(x.shape[1:]))
        if len(shapes) > 1:
            return "inputs have several shapes"
    return ""


def _named_tasks(settings: LearnerSettings, problem: Problem) -> LearnerSettings:
    """The settings of a problem whose tasks must be named; raises `ConfigError` for others."""
    if settings.infer_task not in (None, "auto"):
        rule = f"tasks of problem={problem!r} must be named"
        got, hint = f"infer_task={settings.infer_task!r}", "set infer_task=None"
        raise ConfigError(rule, got=got, hint=hint)
    if settings.method != "hnet":
        rule = f"problem={problem!r} is for method='hnet'"
        raise ConfigError(rule, got=f"method={settings.method!r}")
    return replace(settings, infer_task=None)


def targets_of(problem: Problem, given: Any) -> Targets:
    """The targets of a new task."""
    if problem in DENSE:
        from hypermnesia.learner.dense import KINDS

        return KINDS[problem].of(given)
    return (Classes if problem == "classification" else Values).of(given)


def restored(stored: dict[str, Any]) -> Targets:
    """The targets that were `stored`."""
    if "kind" in stored:
        from hypermnesia.learner.dense import restored_dense

        return restored_dense(stored)
    if "labels" in stored:
        return Classes(Labels(map(from_json, stored["labels"])))
    return Values(stored["mean"], stored["spread"], single=stored["single"])
